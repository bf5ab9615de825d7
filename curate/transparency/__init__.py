"""The public log: signed notes, the Merkle tree, commitments, and the keys that sign."""
