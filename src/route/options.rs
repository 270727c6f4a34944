//! Table options as a rule or `defaults` spells them.

use std::collections::{BTreeMap, HashMap};

use super::names;
use super::problem::MappingFault;
use super::reader::{At, Fields, Reader};
use super::{Partition, PartitionUnit, TableOptions};

pub(super) const FIELDS: &[&str] = &["partition", "cluster_by", "columns", "kms_key", "generation"];
pub(super) const PARTITION_FIELDS: &[&str] = &["type", "column"];
pub(super) const COLUMN_FIELDS: &[&str] = &["type"];

/// BigQuery clusters a table by this many columns at most.
pub const MAX_CLUSTERING_COLUMNS: usize = 4;
/// BigQuery's limit on the columns of a table, and so on `columns`.
pub const MAX_COLUMNS: usize = 10_000;

pub(super) const UNITS: &[(&str, PartitionUnit)] = &[
    ("DAY", PartitionUnit::Day),
    ("HOUR", PartitionUnit::Hour),
    ("MONTH", PartitionUnit::Month),
    ("YEAR", PartitionUnit::Year),
];

/// BigQuery's types as a mapping may spell them, and as its API does. Records and ranges have parts of
/// their own, which a single word cannot say.
pub(super) const TYPES: &[(&str, &str)] = &[
    ("STRING", "STRING"),
    ("BYTES", "BYTES"),
    ("INTEGER", "INTEGER"),
    ("INT64", "INTEGER"),
    ("FLOAT", "FLOAT"),
    ("FLOAT64", "FLOAT"),
    ("BOOLEAN", "BOOLEAN"),
    ("BOOL", "BOOLEAN"),
    ("NUMERIC", "NUMERIC"),
    ("BIGNUMERIC", "BIGNUMERIC"),
    ("DATE", "DATE"),
    ("TIME", "TIME"),
    ("DATETIME", "DATETIME"),
    ("TIMESTAMP", "TIMESTAMP"),
    ("JSON", "JSON"),
    ("GEOGRAPHY", "GEOGRAPHY"),
];

/// The options that somebody wrote; `None` for each that is left out.
#[derive(Debug, Clone, Default)]
pub(super) struct OptionsAsWritten {
    partition: Option<Option<Partition>>,
    cluster_by: Option<Vec<String>>,
    columns: Option<BTreeMap<String, String>>,
    kms_key: Option<String>,
    generation: Option<u64>,
}

impl OptionsAsWritten {
    /// These, and what they leave out from `defaults`. An option is taken as a whole: a rule's `columns`
    /// replace those of the defaults.
    fn over(self, defaults: &Self) -> Self {
        Self {
            partition: self.partition.or_else(|| defaults.partition.clone()),
            cluster_by: self.cluster_by.or_else(|| defaults.cluster_by.clone()),
            columns: self.columns.or_else(|| defaults.columns.clone()),
            kms_key: self.kms_key.or_else(|| defaults.kms_key.clone()),
            generation: self.generation.or(defaults.generation),
        }
    }

    /// With what holds where nobody wrote anything.
    pub(super) fn resolved(self) -> TableOptions {
        let unwritten = TableOptions::default();
        TableOptions {
            partition: self.partition.unwrap_or(unwritten.partition),
            cluster_by: self.cluster_by.unwrap_or(unwritten.cluster_by),
            columns: self.columns.unwrap_or(unwritten.columns),
            kms_key: self.kms_key.or(unwritten.kms_key),
            generation: self.generation.unwrap_or(unwritten.generation),
        }
    }

    /// That the table is not partitioned by a column whose type, written elsewhere, does not allow it.
    fn check_partition_type(&self) -> Result<(), MappingFault> {
        let Some(Some(Partition { unit, column: Some(column) })) = &self.partition else { return Ok(()) };
        let declared = self.columns.iter().flatten().find(|(name, _)| same_column(name, column));
        let Some((_, kind)) = declared else { return Ok(()) };
        let fits = match (kind.as_str(), unit) {
            ("TIMESTAMP" | "DATETIME", _) => true,
            ("DATE", unit) => *unit != PartitionUnit::Hour,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        let reason = format!("BigQuery cannot partition by {} of `{column}`, a {kind}", unit.as_str());
        let hint = "partition by a column of type DATE, DATETIME or TIMESTAMP (by HOUR, not a DATE), or \
                    without `column` by the time of loading";
        Err(MappingFault::BadOption { reason, hint })
    }
}

/// Reads the options among the fields of a rule or of `defaults`; what is not there, from `defaults`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    defaults: &OptionsAsWritten,
) -> OptionsAsWritten {
    let own = OptionsAsWritten {
        partition: fields.get("partition").and_then(|at| read_partition(reader, &at)),
        cluster_by: fields.get("cluster_by").and_then(|at| read_cluster_by(reader, &at)),
        columns: fields.get("columns").and_then(|at| read_columns(reader, &at)),
        kms_key: fields.get("kms_key").and_then(|at| read_kms_key(reader, &at)),
        generation: fields.get("generation").and_then(|at| reader.whole_number(&at)),
    };
    let decides_partition = own.partition.is_some() || own.columns.is_some();
    let options = own.over(defaults);
    if decides_partition {
        reader.checked(&fields.place, options.check_partition_type());
    }
    options
}

/// `null` is an answer: no partitions.
fn read_partition(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Option<Partition>> {
    if at.is_null() {
        return Some(None);
    }
    let fields = reader.object(at, PARTITION_FIELDS)?;
    let unit = reader
        .required(&fields, "type", "`DAY`, `HOUR`, `MONTH` or `YEAR`")
        .and_then(|at| reader.word(&at, UNITS));
    let column = match fields.get("column") {
        Some(at) => Some(read_column_name(reader, &at)?),
        None => None,
    };
    Some(Some(Partition { unit: unit?, column }))
}

fn read_column_name(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let name = reader.string(at, "a column's name as a string")?;
    reader.checked(&at.place, names::check_column(name).map_err(MappingFault::BadName))?;
    Some(name.to_owned())
}

fn read_cluster_by(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<String>> {
    let items = reader.list(at, "a list of column names")?;
    if items.len() > MAX_CLUSTERING_COLUMNS {
        let reason = format!("{} clustering columns; BigQuery takes 4 at most", items.len());
        let hint = "keep the columns that queries filter by most, the most used first";
        reader.report(&at.place, MappingFault::BadOption { reason, hint });
        return None;
    }
    let mut columns: Vec<String> = Vec::new();
    for item in &items {
        let Some(column) = read_column_name(reader, item) else { continue };
        if columns.iter().any(|earlier| same_column(earlier, &column)) {
            let reason = format!("`{column}` is named twice");
            reader.report(&item.place, MappingFault::BadOption { reason, hint: "name each column once" });
        }
        columns.push(column);
    }
    Some(columns)
}

/// BigQuery's column names are the same in any case.
fn same_column(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn read_columns(reader: &mut Reader<'_>, at: &At<'_>) -> Option<BTreeMap<String, String>> {
    let fields = reader
        .any_object(at, || "an object such as { \"balance\": { \"type\": \"NUMERIC\" } }".to_owned())?;
    if fields.len() > MAX_COLUMNS {
        let reason = format!("{} columns; a table of BigQuery has {MAX_COLUMNS} at most", fields.len());
        let hint = "name only the columns whose type should not be inferred from the file";
        reader.report(&at.place, MappingFault::BadOption { reason, hint });
        return None;
    }
    let mut columns = BTreeMap::new();
    let mut spellings: HashMap<String, &str> = HashMap::new();
    for (name, at) in fields.each() {
        reader.checked(&at.place, names::check_column(name).map_err(MappingFault::BadName));
        if let Some(other) = spellings.insert(name.to_lowercase(), name).filter(|other| *other != name) {
            let reason = format!("`{name}` and `{other}` are one column to BigQuery, which ignores case");
            let hint = "keep the one that the Parquet file has";
            reader.report(&at.place, MappingFault::BadOption { reason, hint });
        }
        columns.extend(read_column(reader, &at).map(|kind| (name.to_owned(), kind.to_owned())));
    }
    Some(columns)
}

fn read_column(reader: &mut Reader<'_>, at: &At<'_>) -> Option<&'static str> {
    let fields = reader.object(at, COLUMN_FIELDS)?;
    let at = reader.required(&fields, "type", "a BigQuery type, such as `NUMERIC`")?;
    reader.word(&at, TYPES)
}

fn read_kms_key(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let name = reader.string(at, "a Cloud KMS key's resource name as a string")?;
    if is_kms_key(name) {
        return Some(name.to_owned());
    }
    let reason = format!("`{name}` is not the resource name of a Cloud KMS key");
    let hint =
        "write `projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>`, without a version";
    reader.report(&at.place, MappingFault::BadOption { reason, hint });
    None
}

fn is_kms_key(name: &str) -> bool {
    let is_id =
        |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] => {
            names::check_project(project).is_ok() && [location, ring, key].into_iter().all(|id| is_id(id))
        }
        _ => false,
    }
}
