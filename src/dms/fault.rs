//! Why a file about DMS cannot be understood.

use super::remark::{Level, Told};
use crate::route::BadPattern;

/// What is looked for in a file with an endpoint.
pub(super) const TARGET_IN_S3: &str = "settings of a target in S3";

/// What keeps a file from being understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It is larger than any that DMS takes.
    #[error("the file has {size_bytes} bytes; {max_bytes} are the limit")]
    TooLarge { size_bytes: usize, max_bytes: usize },
    /// It is not JSON.
    #[error("not JSON: {detail}")]
    NotJson { detail: String },
    /// It is JSON, and none of the shapes that are read here.
    #[error("these are no {sought}: {found}")]
    AnotherShape { sought: &'static str, found: String },
    /// A field that must be there is not.
    #[error("the field `{field}` is missing")]
    MissingField { field: &'static str },
    /// A value of another JSON type.
    #[error("expected {expected}, found {found}")]
    WrongType { expected: &'static str, found: &'static str },
    /// A kind of rule that DMS does not have.
    #[error("unknown rule-type `{given}`: the rule was not read")]
    UnknownRuleType { given: String, nearest: Option<&'static str> },
    /// An action that such rules do not have.
    #[error("unknown rule-action `{given}`")]
    UnknownAction { given: String, nearest: Option<&'static str> },
    /// Something that no transformation is of.
    #[error("unknown rule-target `{given}`")]
    UnknownTarget { given: String, nearest: Option<&'static str> },
    /// The answer of the AWS CLI, with nothing in it.
    #[error("{list} is empty: the filter matched none")]
    NothingListed { list: &'static str },
    /// An endpoint that dms2bq has nothing to do with.
    #[error("{which} is {kind}: give the S3 target")]
    NotATarget { which: String, kind: String },
    /// A pattern that DMS would not understand.
    #[error("bad pattern `{given}`: {reason}")]
    BadPattern { given: String, reason: BadPattern },
    /// An `explicit` rule with `%` in its names.
    #[error("the rule is `explicit`, and `{given}` has a wildcard, which stands for itself there")]
    ExplicitWildcard { given: String },
    /// Two rules have one id.
    #[error("the rule-id {id} is taken by {other}")]
    DuplicateId { id: String, other: String },
    /// Several tasks where one is asked for.
    #[error("the file has {count} tasks, and the rules to keep are those of one")]
    SeveralTasks { count: usize },
    /// Rules that leave out rows.
    #[error("{rule} takes only the rows of `{table}` that its filters let pass{}", others_in_words(*others))]
    Filtered { rule: String, table: String, others: usize },
    /// Not one rule includes anything.
    #[error("no rule includes a table, so the task writes nothing")]
    SelectsNothing,
}

impl Told for Fault {
    fn level(&self) -> Level {
        match self {
            Self::TooLarge { .. }
            | Self::NotJson { .. }
            | Self::AnotherShape { .. }
            | Self::MissingField { .. }
            | Self::WrongType { .. }
            | Self::UnknownRuleType { .. }
            | Self::UnknownAction { .. }
            | Self::UnknownTarget { .. }
            | Self::NothingListed { .. }
            | Self::NotATarget { .. }
            | Self::BadPattern { .. }
            | Self::ExplicitWildcard { .. }
            | Self::SeveralTasks { .. }
            | Self::SelectsNothing => Level::Error,
            Self::DuplicateId { .. } | Self::Filtered { .. } => Level::Warning,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "dms.too_large",
            Self::NotJson { .. } => "dms.not_json",
            Self::AnotherShape { .. } => "dms.another_shape",
            Self::MissingField { .. } => "dms.missing_field",
            Self::WrongType { .. } => "dms.wrong_type",
            Self::UnknownRuleType { .. } => "dms.unknown_rule_type",
            Self::UnknownAction { .. } => "dms.unknown_action",
            Self::UnknownTarget { .. } => "dms.unknown_rule_target",
            Self::NothingListed { .. } => "dms.nothing_listed",
            Self::NotATarget { .. } => "dms.not_an_s3_target",
            Self::BadPattern { .. } => "dms.bad_pattern",
            Self::ExplicitWildcard { .. } => "dms.explicit_wildcard",
            Self::DuplicateId { .. } => "dms.duplicate_id",
            Self::SeveralTasks { .. } => "dms.several_tasks",
            Self::Filtered { .. } => "dms.filtered",
            Self::SelectsNothing => "dms.selects_nothing",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::TooLarge { .. } => "give the table mappings of one task, or one endpoint's settings, alone".to_owned(),
            Self::NotJson { .. } => {
                "give the file as DMS or the AWS CLI has it: JSON, with nothing before or behind it".to_owned()
            }
            Self::AnotherShape { sought, found } => match *sought {
                "table mappings" => "give `{ \"rules\": [ … ] }`, or what `aws dms describe-replication-tasks` prints",
                TARGET_IN_S3 if found.contains("`ReplicationTasks`") => {
                    "that is a list of tasks: give it with --dms, and here what `aws dms describe-endpoints` prints"
                }
                "task settings" => "give the task settings as JSON, or what `aws dms describe-replication-tasks` prints",
                _ => "give what `aws dms describe-endpoints` prints, one of its endpoints, or the S3Settings alone",
            }
            .to_owned(),
            Self::MissingField { field } => format!("write `{field}`, as DMS asks for it"),
            Self::WrongType { expected, .. } => format!("write {expected}"),
            Self::UnknownRuleType { nearest: Some(word), .. }
            | Self::UnknownAction { nearest: Some(word), .. }
            | Self::UnknownTarget { nearest: Some(word), .. } => format!("did you mean `{word}`?"),
            Self::UnknownRuleType { nearest: None, .. } => {
                "a rule is a `selection`, a `transformation`, `table-settings` or another of DMS's types".to_owned()
            }
            Self::UnknownTarget { nearest: None, .. } => {
                "a transformation is of a `schema`, a `table`, a `column` or a tablespace".to_owned()
            }
            Self::NothingListed { list } => {
                let (verb, filter) = match *list {
                    "Endpoints" => ("describe-endpoints", "endpoint-id"),
                    _ => ("describe-replication-tasks", "replication-task-id"),
                };
                format!("ask again: `aws dms {verb} --filters Name={filter},Values=…`; without --filters it lists all")
            }
            Self::NotATarget { .. } => {
                "give what `aws dms describe-endpoints` prints of the task's target: `--filters Name=engine-name,Values=s3` \
                 lists those in S3"
                    .to_owned()
            }
            Self::UnknownAction { nearest: None, .. } => {
                "a selection rule has `include`, `exclude` or `explicit`; a transformation one of DMS's actions".to_owned()
            }
            Self::BadPattern { reason, .. } => reason.remedy().to_owned(),
            Self::ExplicitWildcard { .. } => "write `include`, or the name of one table".to_owned(),
            Self::DuplicateId { .. } => "give each rule an id of its own; DMS asks for it".to_owned(),
            Self::SeveralTasks { .. } => {
                "give one: `aws dms describe-replication-tasks --filters Name=replication-task-id,Values=…`".to_owned()
            }
            Self::Filtered { .. } => {
                "all other rows stay at the source, and nothing tells the table in BigQuery that they are missing: if that is \
                 meant, leave it (`check --allow dms.filtered` is silent then); else take `filters` out of the rule"
                    .to_owned()
            }
            Self::SelectsNothing => {
                "add a selection rule that includes; `dms2bq dms-rules` writes them from the mapping".to_owned()
            }
        }
    }
}

fn others_in_words(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => "; and so does 1 other rule".to_owned(),
        many => format!("; and so do {many} other rules"),
    }
}
