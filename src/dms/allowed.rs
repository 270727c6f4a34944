//! The codes that somebody may allow.

use super::remark::{Level, Remark, Told};
use crate::route::nearest;

/// Every code of what is said about DMS, as `--allow` takes it.
pub const CODES: [&str; 67] = [
    "dms.unrouted",
    "dms.never_selected",
    "dms.renamed",
    "dms.selected_twice",
    "dms.segment_folders",
    "dms.excluded_by_task",
    "dms.excluded_by_mapping",
    "dms.many_to_one",
    "dms.two_transformations",
    "dms.ranges_without_nulls",
    "dms.too_many_ways",
    "dms.which_mapping",
    "dms.no_such_mapping",
    "dms.unreadable",
    "dms.too_large",
    "dms.not_json",
    "dms.another_shape",
    "dms.missing_field",
    "dms.wrong_type",
    "dms.unknown_rule_type",
    "dms.unknown_action",
    "dms.unknown_rule_target",
    "dms.nothing_listed",
    "dms.not_an_s3_target",
    "dms.another_endpoint",
    "dms.unknown_code",
    "dms.bad_pattern",
    "dms.explicit_wildcard",
    "dms.selects_nothing",
    "dms.duplicate_id",
    "dms.several_tasks",
    "dms.filtered",
    "dms.nothing_to_select",
    "dms.renames_kept",
    "dms.parallel_load_unsaid",
    "dms.left_out",
    "endpoint.not_parquet",
    "endpoint.preserve_transactions",
    "endpoint.leaves_out",
    "endpoint.no_timestamp",
    "endpoint.date_partition",
    "endpoint.no_bucket",
    "endpoint.unmapped",
    "endpoint.another_mapping",
    "endpoint.too_many_jobs",
    "endpoint.too_many_changes",
    "endpoint.few_changes_left",
    "endpoint.not_a_number",
    "endpoint.unknown_tables",
    "endpoint.small_files",
    "endpoint.large_files",
    "endpoint.timezone",
    "endpoint.no_op_for_full_load",
    "endpoint.full_load_timestamp",
    "endpoint.milliseconds",
    "endpoint.padding",
    "endpoint.kms",
    "endpoint.public",
    "endpoint.contradiction",
    "task.batch_apply",
    "task.full_lob",
    "task.cuts_lobs",
    "task.no_lobs",
    "task.target_schema",
    "task.deletes_files",
    "task.skips_records",
    "task.follows_ddl",
];

/// A code that nothing has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no code `{given}`")]
struct UnknownCode {
    given: String,
    nearest: Option<&'static str>,
}

/// What to say of codes to allow that do not exist: a slip of the pen there would allow nothing, or soon the wrong thing.
pub fn refuse_unknown(allowed: &[String]) -> Vec<Remark> {
    let unknown = allowed.iter().filter(|code| !CODES.contains(&code.as_str()));
    let remark = |given: &String| {
        let nearest = nearest(&given.to_lowercase(), CODES, str::to_owned);
        Remark::new("--allow", "", &UnknownCode { given: super::node::shortened(given), nearest })
    };
    unknown.map(remark).collect()
}

impl Told for UnknownCode {
    fn level(&self) -> Level {
        Level::Error
    }

    fn code(&self) -> &'static str {
        "dms.unknown_code"
    }

    fn remedy(&self) -> String {
        match self.nearest {
            Some(code) => format!("did you mean `{code}`?"),
            None => "name a code of those in docs/errors.md that begin with `dms.`, `endpoint.` or `task.`"
                .to_owned(),
        }
    }
}
