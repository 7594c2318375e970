"""Heavy or untrusted work in a child process: one protocol, and the modules that run by it."""
