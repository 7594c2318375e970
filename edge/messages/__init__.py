"""What leaves the board: one file a kind of message."""
