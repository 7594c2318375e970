"""What is made of a converted model: its report, and files for other runtimes."""
