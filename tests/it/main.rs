//! Everything that is tested from outside the library, in one binary.

mod objects;
mod s3_answers;
