//! `dms2bq`, the command line.

fn main() {}
