"""Writes an operating system to a card, and on it what the board needs at its first boot."""
