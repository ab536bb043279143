"""A run on disk: its folder, its checkpoints, and the training that fills them. Import the modules themselves."""
