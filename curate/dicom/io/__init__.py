"""Bytes to elements and back: file meta, transfer syntaxes, character sets, the layout of a series."""
