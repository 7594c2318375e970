"""What the four commands share: parsers, completion, tables, progress."""
