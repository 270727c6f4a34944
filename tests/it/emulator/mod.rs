//! The embedded BigQuery, over HTTP, as any client sees it.

mod cases;
mod jobs;
mod limits;
mod parquet;
mod restart;
mod server;
mod tables;
mod uploads;
