"""What was seen on a frame."""
