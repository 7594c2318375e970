"""The one head finder: where a float graph's raw outputs are, and what they mean."""
