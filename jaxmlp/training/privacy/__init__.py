"""Private training, DP-SGD (Abadi et al. 2016, Deep learning with differential privacy, arXiv:1607.00133).

Every step draws its batch (sampling.py), sums the clipped gradients (statistics.clipped_sum), adds noise (noise.py)
and divides by the batch size that was asked for, not by the one that was drawn. The account (account.py) says what
ε that gives. What is drawn comes from a secret, not from the seed (secret.py).
"""
