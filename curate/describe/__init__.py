"""What a release says of itself, to people and machines: card, Croissant, citation, changelog, DataCite."""
