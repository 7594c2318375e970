"""Channels that are cut out of a float graph, and what is left refitted."""
