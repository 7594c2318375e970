"""What to try where the first recipe is not good enough."""
