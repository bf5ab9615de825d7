"""Pictures of pixels for people: previews, windows, boxes."""
