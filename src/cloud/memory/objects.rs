//! S3 in memory.
