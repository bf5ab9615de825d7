"""Where an identifier can hide: each module lists places of one kind for a draft."""
