"""What a DICOM file says: reading, hierarchy, the PS3.15 profile, identifiers, rewriting, verifying."""
