"""What the program is built from: the lock file read, audited and listed; the wheel built the same twice."""
