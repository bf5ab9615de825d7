"""Work on several processes and machines: real processes, a real Dask scheduler, a real S3 server."""
