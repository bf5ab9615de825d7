"""Disclosure risk: how many donors look alike, what is given up so that enough do, what releases reveal together."""
