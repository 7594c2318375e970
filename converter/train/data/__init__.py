"""Labelled images for training: read, checked, shared out, changed at random, put in batches."""
