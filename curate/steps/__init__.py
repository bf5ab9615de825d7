"""One module a verb: what the commands do, as functions that a notebook can call."""
