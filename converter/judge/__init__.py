"""Judging: any models against one reference, on images that made neither."""
