"""De-identification by PS3.15: the profile, its values, dates and UIDs; rewriting, and verifying what was written."""
