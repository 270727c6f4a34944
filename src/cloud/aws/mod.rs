//! AWS: S3, and the configuration that the SDK finds.
