"""One module a check of a release."""
