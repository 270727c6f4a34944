//! A task's settings: which of them lose rows without a word.
//!
//! Sources: the DMS user guide's pages on task settings (target metadata, full load, error handling, DDL handling), and
//! the limitations on its page on S3 as a target.

use serde_json::Value;

use super::fault::Fault;
use super::node::{Node, Reader, described};
use super::remark::{Level, Remark, Told};

/// The groups of settings that are looked at; one of them tells task settings from other JSON.
const GROUPS: [&str; 4] =
    ["TargetMetadata", "FullLoadSettings", "ErrorBehavior", "ChangeProcessingDdlHandlingPolicy"];

/// Where a task's description has its settings.
const SETTINGS: &str = "ReplicationTaskSettings";
/// What DMS does with records that it cannot convert or has to cut, unless the settings say otherwise.
const DEFAULT_POLICY: &str = "LOG_ERROR";
/// After how many KB DMS cuts, unless LobMaxSize says otherwise.
const DEFAULT_LOB_KB: &str = "32";
/// What is said of a value that the settings leave to DMS.
const BY_DEFAULT: &str = " by default";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Advice {
    #[error("BatchApplyEnabled is on, with which DMS can lose changes on the way to S3")]
    BatchApply,
    #[error("FullLobMode is on, which DMS does not have for S3")]
    FullLob,
    #[error(
        "LimitedSizeLobMode cuts texts and blobs off after {size_kb} KB (LobMaxSize{by_default}), and the row does not show it"
    )]
    CutsLobs { size_kb: String, by_default: &'static str },
    #[error("SupportLobs is off: columns of large texts and blobs are left out")]
    NoLobs,
    #[error("TargetSchema is `{schema}`: the folders are called so, whatever the source's schema is")]
    TargetSchema { schema: String },
    #[error(
        "TargetTablePrepMode is {mode}: when the task starts afresh, DMS deletes a table's files, loaded or not"
    )]
    DeletesFiles { mode: String },
    #[error("{policy} is {value}{by_default}: DMS leaves such a record out and goes on{}", if value == DEFAULT_POLICY { ", with a line in its log alone" } else { "" })]
    SkipsRecords { policy: &'static str, value: String, by_default: &'static str },
    #[error("{policy} is on: when the source does that, DMS deletes the table's files in S3, loaded or not")]
    FollowsDdl { policy: &'static str },
}

/// The one name that settings give to the schema's folder of every table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSchema {
    pub(super) file: String,
    pub(super) path: String,
    pub(super) schema: String,
}

/// The `TargetSchema` of each of the settings in a file: those that DMS keeps, or each task's.
pub fn target_schemas(file: &str, text: &str) -> Vec<Option<TargetSchema>> {
    let Some(json) = Reader::new(file).document(text, "$") else { return Vec::new() };
    let top = Node::root(&json, "$");
    if GROUPS.iter().any(|group| top.field(group).is_some()) {
        return vec![target_schema(file, &top)];
    }
    let listed = top.field("ReplicationTasks").map(|tasks| tasks.items()).unwrap_or_default();
    let one = top.field("ReplicationTask").into_iter().chain([top]);
    let described = listed.into_iter().chain(one).filter(|task| task.field(SETTINGS).is_some());
    described.map(|task| target_schema_of(file, &task)).collect()
}

/// The `TargetSchema` of a task's description.
pub(super) fn target_schema_of(file: &str, task: &Node<'_>) -> Option<TargetSchema> {
    let at = task.field(SETTINGS)?;
    match at.json {
        Value::String(text) => {
            let embedded = Reader::new(file).document(text, &at.path)?;
            target_schema(file, &Node::root(&embedded, &at.path))
        }
        _ => target_schema(file, &at),
    }
}

fn target_schema(file: &str, settings: &Node<'_>) -> Option<TargetSchema> {
    let at = settings.field("TargetMetadata")?.field("TargetSchema")?;
    let schema = at.json.as_str().filter(|schema| !schema.is_empty())?.to_owned();
    Some(TargetSchema { file: file.to_owned(), path: at.path, schema })
}

/// Reads task settings as DMS keeps them, or those of each task that `aws dms describe-replication-tasks` prints.
pub fn look_at(file: &str, text: &str) -> Vec<Remark> {
    let mut reader = Reader::new(file);
    let Some(json) = reader.document(text, "$") else { return reader.remarks };
    let top = Node::root(&json, "$");
    if GROUPS.iter().any(|group| top.field(group).is_some()) {
        look_at_groups(&mut reader, &top);
        return reader.remarks;
    }
    if top.field("ReplicationTasks").is_some_and(|tasks| tasks.json.as_array().is_some_and(Vec::is_empty)) {
        reader.report("$.ReplicationTasks", &Fault::NothingListed { list: "ReplicationTasks" });
    } else if !look_at_tasks(&mut reader, &top) {
        reader.report("$", &Fault::AnotherShape { sought: "task settings", found: described(&json) });
    }
    reader.remarks
}

/// The same, for a file that was given for its table mappings and may have settings as well.
pub fn look_within(file: &str, text: &str) -> Vec<Remark> {
    let mut reader = Reader::new(file);
    if let Some(json) = reader.document(text, "$") {
        look_at_tasks(&mut reader, &Node::root(&json, "$"));
    }
    reader.remarks
}

/// The settings inside descriptions of tasks, where they are JSON in a string.
fn look_at_tasks(reader: &mut Reader<'_>, top: &Node<'_>) -> bool {
    let listed = top.field("ReplicationTasks").map(|tasks| tasks.items()).unwrap_or_default();
    let one = top.field("ReplicationTask").into_iter().chain([top.clone()]);
    let mut is_found = false;
    for at in listed.into_iter().chain(one).filter_map(|task| task.field(SETTINGS)) {
        is_found = true;
        match at.json {
            Value::String(text) => {
                if let Some(embedded) = reader.document(text, &at.path) {
                    look_at_groups(reader, &Node::root(&embedded, &at.path));
                }
            }
            _ => look_at_groups(reader, &at),
        }
    }
    is_found
}

fn look_at_groups(reader: &mut Reader<'_>, settings: &Node<'_>) {
    let [metadata, full_load, errors, ddl] = GROUPS.map(|group| settings.field(group));
    if let Some(group) = metadata {
        look_at_metadata(reader, &group, tells_of_cuts(errors.as_ref()));
    }
    let mode = full_load.as_ref().and_then(|group| group.field("TargetTablePrepMode"));
    if let Some(at) = mode {
        let mode = at.json.as_str().unwrap_or_default().to_owned();
        if mode != "DO_NOTHING" {
            say(reader, &at, &Advice::DeletesFiles { mode });
        }
    }
    for policy in ["DataErrorPolicy", "DataTruncationErrorPolicy"] {
        let Some(group) = errors.as_ref() else { continue };
        let (at, by_default) = match group.field(policy) {
            Some(at) => (at, ""),
            None => (group.clone(), BY_DEFAULT),
        };
        let value = group.plain_text(policy).unwrap_or_else(|| DEFAULT_POLICY.to_owned());
        if matches!(value.as_str(), DEFAULT_POLICY | "IGNORE_RECORD") {
            say(reader, &at, &Advice::SkipsRecords { policy, value, by_default });
        }
    }
    for policy in ["HandleSourceTableTruncated", "HandleSourceTableDropped"] {
        if let Some(at) = ddl.as_ref().and_then(|group| switched_on(group, policy)) {
            say(reader, &at, &Advice::FollowsDdl { policy });
        }
    }
}

/// Whether the task stops, or the table does, when a value is cut off: then it is no longer in silence.
fn tells_of_cuts(errors: Option<&Node<'_>>) -> bool {
    let policy = errors.and_then(|group| group.plain_text("DataTruncationErrorPolicy"));
    policy.is_some_and(|policy| matches!(policy.as_str(), "STOP_TASK" | "SUSPEND_TABLE"))
}

fn look_at_metadata(reader: &mut Reader<'_>, group: &Node<'_>, tells_of_cuts: bool) {
    if let Some(at) = switched_on(group, "BatchApplyEnabled") {
        say(reader, &at, &Advice::BatchApply);
    }
    if let Some(at) = switched_on(group, "FullLobMode") {
        say(reader, &at, &Advice::FullLob);
    }
    if let Some(at) = switched_on(group, "LimitedSizeLobMode").filter(|_| !tells_of_cuts) {
        let (size_kb, by_default) = match group.plain_text("LobMaxSize") {
            Some(size_kb) => (size_kb, ""),
            None => (DEFAULT_LOB_KB.to_owned(), BY_DEFAULT),
        };
        say(reader, &at, &Advice::CutsLobs { size_kb, by_default });
    }
    if let Some(at) = group.field("SupportLobs").filter(|at| at.json == &Value::Bool(false)) {
        say(reader, &at, &Advice::NoLobs);
    }
    if let Some(at) = group.field("TargetSchema").filter(|at| at.json != "") {
        let schema = super::node::shortened(at.json.as_str().unwrap_or_default());
        say(reader, &at, &Advice::TargetSchema { schema });
    }
}

fn switched_on<'j>(group: &Node<'j>, name: &str) -> Option<Node<'j>> {
    group.field(name).filter(|at| at.json == &Value::Bool(true) || at.json == "true")
}

fn say(reader: &mut Reader<'_>, at: &Node<'_>, advice: &Advice) {
    let remark = Remark::new(reader.file, at.path.clone(), advice);
    reader.remarks.push(remark);
}

impl Told for Advice {
    fn level(&self) -> Level {
        match self {
            Self::BatchApply | Self::FullLob => Level::Error,
            Self::CutsLobs { .. }
            | Self::NoLobs
            | Self::TargetSchema { .. }
            | Self::DeletesFiles { .. }
            | Self::SkipsRecords { .. }
            | Self::FollowsDdl { .. } => Level::Warning,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BatchApply => "task.batch_apply",
            Self::FullLob => "task.full_lob",
            Self::CutsLobs { .. } => "task.cuts_lobs",
            Self::NoLobs => "task.no_lobs",
            Self::TargetSchema { .. } => "task.target_schema",
            Self::DeletesFiles { .. } => "task.deletes_files",
            Self::SkipsRecords { .. } => "task.skips_records",
            Self::FollowsDdl { .. } => "task.follows_ddl",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::BatchApply => "set TargetMetadata.BatchApplyEnabled to false".to_owned(),
            Self::FullLob => "set FullLobMode to false and LimitedSizeLobMode to true, with a LobMaxSize that the largest value fits into".to_owned(),
            Self::CutsLobs { .. } => {
                "ask the source how long its longest value is, and set LobMaxSize (KB) above it; DataTruncationErrorPolicy \
                 STOP_TASK tells when one is cut"
                    .to_owned()
            }
            Self::NoLobs => "set SupportLobs and LimitedSizeLobMode to true, unless nobody wants those columns".to_owned(),
            Self::TargetSchema { .. } => "clear TargetSchema; or name that schema in the mapping, and have one schema alone in the task".to_owned(),
            Self::DeletesFiles { .. } => {
                "set TargetTablePrepMode to DO_NOTHING, and start a task afresh only when its queue is empty".to_owned()
            }
            Self::SkipsRecords { .. } => "set it to STOP_TASK, or to SUSPEND_TABLE with an alarm on suspended tables".to_owned(),
            Self::FollowsDdl { .. } => {
                "set it to false: what is in BigQuery stays in either case, and what is not loaded yet would be gone".to_owned()
            }
        }
    }
}
