//! The table of a job's life, row by row: the whole handler and the real client, over loopback HTTP, against the
//! embedded BigQuery with faults in between. What is asserted is the end of each receive, what was asked of BigQuery,
//! and what BigQuery holds afterwards.

mod bench;
mod faults;
mod reasons;
mod receives;
mod refusals;
mod uploads;
