"""What a release attests: checkpoint, approvals with their evidence, and whose key it is."""
