"""Disclosure risk: how many donors look alike, and what is given up so that enough do."""
