"""Pixel data as it may leave: containers, code streams and lookup tables, with nothing beside the image."""
