//! Who calls the pipeline.

#[cfg(feature = "cli")]
pub mod emulator;
