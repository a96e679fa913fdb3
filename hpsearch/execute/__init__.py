"""Where trials train: all of Ray."""
