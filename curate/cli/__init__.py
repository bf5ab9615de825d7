"""The `curate` command: a few lines each, over the functions of `curate.steps`."""
