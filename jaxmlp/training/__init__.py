"""Training: what a run is made of. Import the modules themselves."""
