//! Who calls the pipeline: the Lambda runtime, and the verbs of the command line.

pub mod assemble;
pub mod lambda;
pub mod mapping_files;
pub mod mapping_store;
pub mod redelivery;

#[cfg(feature = "cli")]
pub mod check;
#[cfg(feature = "cli")]
pub mod diff;
#[cfg(feature = "cli")]
pub mod dms_rules;
#[cfg(feature = "cli")]
pub mod doctor;
#[cfg(feature = "cli")]
pub mod emulator;
#[cfg(feature = "cli")]
pub mod explain;
#[cfg(feature = "cli")]
pub mod load;
#[cfg(feature = "cli")]
pub mod local;
#[cfg(feature = "cli")]
pub mod probe;
#[cfg(feature = "cli")]
pub mod publish;
#[cfg(feature = "cli")]
pub mod stdout;
