"""Bounded reading of what somebody else wrote: files of a foreign folder, Parquet tables, Thrift heads."""
