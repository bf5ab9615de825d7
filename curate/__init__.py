"""curate: cut and publish open releases of donated, anonymised medical images."""
