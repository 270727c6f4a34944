//! Everything that is tested from outside the library, in one binary.

mod google;
mod objects;
mod s3_answers;
