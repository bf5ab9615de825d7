"""Text and barcodes in pixels: where they are, and what kind of text it is."""
