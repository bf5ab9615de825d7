"""Where slices and frames lie in the patient, and what a volume is made of (PS3.3 C.7.6.2)."""
