"""What the pixels of an instance show."""
