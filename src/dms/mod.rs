//! What a DMS task and its endpoint say, beside what the mappings say. For the command line alone; the Lambda knows DMS
//! by the keys that it writes.
//!
//! [`Task`] reads a task's table mappings, [`compare`](compare::compare) holds them against a mapping, and
//! [`generate`](generate::generate) writes them from one. [`Endpoint`] and [`settings`] read an endpoint's and a task's settings
//! and say which hurt. All of it is pure: texts in, [`Remark`]s out.

pub mod compare;
pub mod generate;
pub mod settings;

mod allowed;
mod arriving;
mod choice;
mod difference;
mod endpoint;
pub mod endpoint_advice;
mod fault;
mod node;
mod quota;
mod remark;
mod rule;
mod target;
mod task;
mod words;

pub use allowed::{CODES, refuse_unknown};
pub use choice::choose;
pub use endpoint::Endpoint;
pub use node::MAX_DMS_FILE_BYTES;
pub use quota::Load;
pub(crate) use quota::grouped;
pub use remark::{Level, Remark};
pub use rule::TaskRule;
pub use settings::TargetSchema;
pub use target::{ByTarget, by_target};
pub use task::{Arrival, Selection, Task, Transformation};
