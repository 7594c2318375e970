"""Results drawn on images, for people."""
