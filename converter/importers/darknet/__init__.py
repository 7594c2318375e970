"""Darknet detectors: a `.cfg` and its `.weights`."""
