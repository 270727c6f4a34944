//! The embedded BigQuery: small, strict, and over HTTP like the real one.
