"""The `edge-convert` command: its verbs and their options."""
