"""What can be said of hardware that is not here. See programs.py and __main__.py."""
