"""What the raw outputs of a model mean: one module a kind of head."""
