//! Who calls the pipeline.

#[cfg(feature = "cli")]
pub mod check;
pub mod mapping_files;
