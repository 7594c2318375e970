"""The demonstration: a broker, a subscriber, and what it draws."""
