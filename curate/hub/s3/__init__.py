"""A bucket as a hub."""
