"""What is done to releases: texts and seal, cutting again, withdrawal, purge, recall, restoring."""
