"""Training, the costs of what the deltas give, and whole processes, timed beside other ways to the same."""
