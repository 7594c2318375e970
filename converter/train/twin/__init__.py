"""The Keras twin: a graph as a trainable model with the same tensor names."""
