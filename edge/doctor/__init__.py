"""What is missing or goes wrong on a board, each with the command that mends it."""
