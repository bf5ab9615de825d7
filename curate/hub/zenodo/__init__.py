"""Zenodo: a DOI for a release."""
