"""The preview page: what the cameras see, in a browser, and the figures that monitors read."""
