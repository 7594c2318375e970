"""How fast a model runs on this machine, from bare invoke to published result."""
