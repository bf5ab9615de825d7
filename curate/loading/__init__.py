"""The researcher's side: a release's tables and images, verified, at exactly the version asked for."""
