"""What goes wrong with an image or a card."""

from edge.errors import EdgeError


class FlashError(EdgeError, RuntimeError):
    """An image is not what is needed, or a card cannot be written; the message says what holds."""
