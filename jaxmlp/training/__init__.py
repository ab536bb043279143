"""Training, as numbers: what a run computes. Import the modules themselves."""
