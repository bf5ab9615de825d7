"""What every room stands on: errors, findings, clock, digests, durable writes, resources, progress."""
