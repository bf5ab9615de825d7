"""A folder as a hub."""
