"""Training: twins of graphs in Keras, data, losses, the loop, recovery of what pruning lost."""
