"""What docs/speed.md claims, as commands that measure it."""
