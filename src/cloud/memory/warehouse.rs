//! BigQuery in memory.
