"""The report of a conversion: what it cost, what it looks like, how it came about."""
