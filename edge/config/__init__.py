"""The configuration: its sections, and its faults as sentences."""
