"""What invokes models: one module a runtime."""
