"""Where a model's description comes from: one module a source of it."""
