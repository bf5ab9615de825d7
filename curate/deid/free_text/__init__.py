"""Descriptions rebuilt from closed vocabularies and from what the instance states itself."""
