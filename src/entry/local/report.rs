//! What a run of `dms2bq local` came to, for a person.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};

use crate::entry::local::ground::{Expected, Fate};
use crate::entry::local::ledger::Held;
use crate::outcome::record::Record;
use crate::route::TableRef;

/// A run, summed up.
pub(super) struct Report {
    tables: Vec<TableLine>,
    ignored: Vec<Record>,
    returned: Vec<Record>,
    /// How many files came back that were not meant to.
    failed_count: usize,
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
        meant_to_return: &[Fate],
    ) -> Self {
        let last = last_by_object(records);
        let of = |outcome: &str| last.iter().filter(|r| r.outcome == outcome).cloned().collect::<Vec<_>>();
        let loaded = of("loaded");
        let returned = of("returned");
        let is_meant = |record: &Record| meant_to_return.iter().any(|fate| fate.is_that_of(record));
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
            failed_count: returned.iter().filter(|record| !is_meant(record)).count(),
            returned,
        }
    }

    /// Whether everything that should load did.
    pub(super) fn is_good(&self) -> bool {
        self.failed_count == 0 && self.tables.iter().all(|line| line.fault().is_none())
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
            (0, 0) => "No file was loaded.".to_owned(),
            (0, before) => format!(
                "Nothing was loaded: what is to load ({}) is in already. BigQuery keeps the record of each file's \
                 load job, and the job id is made from the file, so it refused to load them again.",
                files(*before)
            ),
            (now, 0) => format!("{} loaded, each once.", files(*now)),
            (now, before) => format!("{} loaded, each once; {} in already.", files(*now), files(*before)),
        };
        let verdict = match (self.is_good(), self.failed_count) {
            (true, _) if self.returned.is_empty() => "Everything that should load did.".to_owned(),
            (true, _) => "Everything that should load did. What came back was meant to.".to_owned(),
            (false, 0) => "Rows are missing or doubled: see the table above.".to_owned(),
            (false, count) => format!("{} came back and should not have: see above.", files(count)),
        };
        format!("\n{what}\n{verdict}\n")
    }
}

fn files(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
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
