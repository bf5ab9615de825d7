"""What a release folder is made of: texts and seal; cutting it again without what was withdrawn."""
