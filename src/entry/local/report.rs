//! What a run of `dms2bq local` came to, for a person.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};

use crate::entry::local::ground::Expected;
use crate::entry::local::ledger::Held;
use crate::outcome::record::Record;
use crate::route::TableRef;

/// Files that are refused by what they are. They should not load, so that they did not is no failure of the run.
const NOT_WHOLE_PARQUET: [&str; 4] =
    ["object.not_parquet", "object.truncated", "object.footer_unreadable", "object.footer_too_large"];

/// A run, summed up.
pub(super) struct Report {
    tables: Vec<TableLine>,
    ignored: Vec<Record>,
    returned: Vec<Record>,
    /// Objects whose rows were in before this run.
    loaded_before: usize,
    /// Objects that this run loaded.
    loaded_now: usize,
}

struct TableLine {
    table: TableRef,
    expected: Expected,
    held: Held,
    duration_ms: u64,
}

impl TableLine {
    /// What is wrong with the table, if anything is.
    fn fault(&self) -> Option<&'static str> {
        if self.held.row_count < self.expected.row_count {
            Some("rows missing")
        } else if self.held.objects_loaded_twice > 0 || self.held.row_count != self.held.rows_by_jobs {
            Some("rows doubled")
        } else {
            None
        }
    }
}

impl Report {
    /// Sums up the last record of every object.
    pub(super) fn new(
        records: &[Record],
        expected: BTreeMap<TableRef, Expected>,
        held: &BTreeMap<TableRef, Held>,
    ) -> Self {
        let last = last_by_object(records);
        let of = |outcome: &str| last.iter().filter(|r| r.outcome == outcome).cloned().collect::<Vec<_>>();
        let loaded = of("loaded");
        let now = |record: &&Record| loaded_in_this_run(record, records);
        let tables = expected.into_iter().map(|(table, expected)| TableLine {
            held: held.get(&table).cloned().unwrap_or_default(),
            duration_ms: slowest(&table, records),
            table,
            expected,
        });
        Self {
            tables: tables.collect(),
            loaded_now: loaded.iter().filter(now).count(),
            loaded_before: loaded.iter().filter(|record| !now(record)).count(),
            ignored: of("ignored"),
            returned: of("returned"),
        }
    }

    /// Whether everything that should load did.
    pub(super) fn is_good(&self) -> bool {
        self.tables.iter().all(|line| line.fault().is_none())
            && self.returned.iter().all(refused_by_what_it_is)
    }

    /// The whole report as text.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        text.push_str(&self.render_tables());
        text.push_str(&list("Ignored: nothing to load, and why", &self.ignored));
        text.push_str(&list(
            "Returned to the queue: in AWS these would end in the dead-letter queue",
            &self.returned,
        ));
        text.push_str(&self.render_verdict());
        text
    }

    fn render_tables(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["BigQuery table", "files", "rows in files", "rows in table", "slowest file"]);
        for line in &self.tables {
            let more = line.held.row_count > line.expected.row_count;
            let note = match line.fault() {
                Some(fault) => format!("  ← {fault}"),
                None if more => "  (also rows of files that are not here)".to_owned(),
                None => String::new(),
            };
            table.add_row([
                line.table.to_string(),
                line.expected.file_count.to_string(),
                line.expected.row_count.to_string(),
                format!("{}{note}", line.held.row_count),
                format!("{:.2} s", line.duration_ms as f64 / 1000.0),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("\n{table}\n")
    }

    fn render_verdict(&self) -> String {
        let Self { loaded_now, loaded_before, .. } = self;
        let what = match (loaded_now, loaded_before) {
            (0, 0) => "There was nothing to load.".to_owned(),
            (0, before) => format!(
                "Nothing was loaded: all {before} files are in already. BigQuery keeps the record of each file's load \
                 job, and the job id is made from the file, so it refused to load them again."
            ),
            (now, 0) => format!("{now} files loaded, each once."),
            (now, before) => format!("{now} files loaded, each once; {before} more were in already."),
        };
        let verdict = match self.is_good() {
            true => "Everything that should load did.",
            false => "Something that should be loaded is not: see above.",
        };
        format!("\n{what}\n{verdict}\n")
    }
}

fn refused_by_what_it_is(record: &Record) -> bool {
    let code = record.code.unwrap_or_default();
    code.starts_with("key.")
        || code.starts_with("event.")
        || code == "route.unmapped"
        || NOT_WHOLE_PARQUET.contains(&code)
}

/// An object may be announced twice and delivered again: what counts is how it stands at the end, and an object
/// that is in is in, whatever another delivery of it met.
fn last_by_object(records: &[Record]) -> Vec<Record> {
    let mut last: BTreeMap<_, Record> = BTreeMap::new();
    for record in records {
        let message = record.key.is_none().then(|| record.message_id.clone());
        let object = (record.bucket.clone(), record.key.clone(), message);
        let keeps = last.get(&object).is_some_and(|known| known.outcome == "loaded");
        if !keeps || record.outcome == "loaded" {
            last.insert(object, record.clone());
        }
    }
    last.into_values().collect()
}

fn loaded_in_this_run(record: &Record, records: &[Record]) -> bool {
    records.iter().any(|other| {
        other.key == record.key
            && other.bucket == record.bucket
            && other.outcome == "loaded"
            && other.code.is_none()
    })
}

fn slowest(table: &TableRef, records: &[Record]) -> u64 {
    let destination = Some(table.to_string());
    records.iter().filter(|r| r.destination == destination).map(|r| r.duration_ms).max().unwrap_or_default()
}

fn list(title: &str, records: &[Record]) -> String {
    if records.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title}\n");
    for record in records {
        let what = record.key.as_deref().unwrap_or("a message");
        let code = record.code.unwrap_or_default();
        let message = record.message.as_deref().unwrap_or_default();
        text.push_str(&format!("  {what}\n    {code}: {message}\n"));
        if let Some(remedy) = &record.remedy {
            text.push_str(&format!("    what to do: {remedy}\n"));
        }
    }
    text
}
