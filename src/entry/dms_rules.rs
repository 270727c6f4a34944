//! `dms2bq dms-rules`: a DMS task's table mappings, from ours.

use std::io::{self, Write};
use std::path::PathBuf;

use super::check::dms::read_file;
use super::check::{Finding, Verdict, write_findings};
use crate::dms::generate::{Extras, Kept, generate};
use crate::dms::{Remark, choose};
use crate::route::Mappings;

/// Write the table mappings of a DMS task from a mapping, so that one merged change deploys both.
///
/// The task then selects exactly what the mapping loads: `dms2bq check --dms` finds nothing to say about what this prints,
/// but for what is told here on standard error: rules to keep that the mapping does not expect, and what DMS has no words for.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  dms2bq dms-rules > table-mappings.json            of the only mapping
  dms2bq dms-rules --mapping casino-a --change-seq > table-mappings.json
  dms2bq dms-rules --keep table-mappings.json       keeps what a mapping cannot say, and the ids
  aws dms modify-replication-task --replication-task-arn $ARN --table-mappings file://table-mappings.json

Each rule of the mapping becomes one selection rule with the same patterns, in the same order. A rule's id
is made from what it says: when a table is added, the others keep theirs.")]
pub struct DmsRulesArgs {
    /// The mapping, by its name (casino-a) or file; needed if there are several
    #[arg(long, value_name = "NAME|FILE")]
    pub mapping: Option<String>,
    /// The table mappings that the task has, or what `aws dms describe-replication-tasks` prints of it: rules about columns,
    /// table settings and tags are taken over as they are, and so are ids, filters and load order of selection rules
    /// that stay
    #[arg(long, value_name = "FILE")]
    pub keep: Option<PathBuf>,
    /// Add a column AR_H_CHANGE_SEQ: it puts changes of one moment in order
    #[arg(long)]
    pub change_seq: bool,
    /// Add columns BI_… with the key as it was before an update
    #[arg(long)]
    pub before_image_keys: bool,
}

/// Runs `dms-rules`: the JSON to `out`, all else to `aside`.
///
/// # Errors
/// When one of the two cannot be written to.
pub fn run(
    args: &DmsRulesArgs,
    mappings: &Mappings,
    out: &mut dyn Write,
    aside: &mut dyn Write,
) -> io::Result<Verdict> {
    let landing = match choose(mappings, args.mapping.as_deref(), "dms-rules", "the rules are") {
        Ok(landing) => landing,
        Err(remark) => return refuse(vec![remark], aside),
    };
    let kept = match args.keep.as_deref().map(read_file) {
        None => Ok(Kept::default()),
        Some(Err(error)) => {
            write_findings([error.finding()], aside)?;
            return Ok(Verdict::Faulty);
        }
        Some(Ok(text)) => {
            let file = args.keep.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
            Kept::read(&file, &text)
        }
    };
    let kept = match kept {
        Ok(kept) => kept,
        Err(remarks) => return refuse(remarks, aside),
    };
    let extras = Extras { change_sequence: args.change_seq, before_image_keys: args.before_image_keys };
    match generate(landing, &kept, extras) {
        Ok(generated) => {
            out.write_all(generated.text.as_bytes())?;
            write_findings(generated.remarks.into_iter().map(Finding::of_remark), aside)?;
            Ok(Verdict::Sound)
        }
        Err(remarks) => refuse(remarks, aside),
    }
}

fn refuse(remarks: Vec<Remark>, aside: &mut dyn Write) -> io::Result<Verdict> {
    write_findings(remarks.into_iter().map(Finding::of_remark), aside)?;
    Ok(Verdict::Faulty)
}
