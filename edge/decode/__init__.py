"""From raw quantised heads to boxes."""
