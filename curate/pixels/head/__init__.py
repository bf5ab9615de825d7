"""Heads in volumes: found, judged, and the plane before the brain."""
