"""What a model is: its description, what invokes it, and the default one."""
