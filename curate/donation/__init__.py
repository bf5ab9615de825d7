"""A donation as it arrives, for the hospital's command and the archive's alike: its files, its rows, its codes."""
