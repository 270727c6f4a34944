//! Google: BigQuery over HTTP, and the tokens for it.
