"""Training: gradients through a graph's Keras twin, and the named weights that come back."""
