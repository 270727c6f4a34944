//! `bootstrap`, the Lambda function.

fn main() {}
