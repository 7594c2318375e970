"""Changes of a float model that leave it the same function, and lose less when it is quantised."""
