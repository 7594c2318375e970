"""What each kind of board is, and what it needs."""
