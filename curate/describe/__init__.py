"""What a release says of itself, for people and for machines: card, Croissant, citation, changelog, DataCite."""
