"""What happens to each observation between decode and the sinks."""
