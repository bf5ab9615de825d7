"""What a DICOM file says: the data model, reading and writing, geometry, and what a manifest takes from it."""
