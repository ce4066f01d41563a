"""benchlib: the parts of tools/bench, one noun per module; Python's standard library only."""
