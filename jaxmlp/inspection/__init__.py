"""Looking at what a run has learned. Import the modules themselves."""
