"""What Home Assistant is told of the device, so that it needs no configuration of its own."""
