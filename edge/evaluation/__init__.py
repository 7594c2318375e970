"""Measure models against labelled images, on the very path that the board runs."""
