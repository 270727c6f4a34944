//! Which columns a load brings, and whether the table takes them. Pure.

use super::error::JobError;
use super::file_schema::{FileColumn, FileKind, Inference, readable_as};
use super::load::LoadSpec;
use super::names::TableKey;
use super::schema::{Field, Kind, Mode, check_schema, same_name};
use super::table::{Layout, PartitionUnit, TimePartitioning};

/// The columns that a load brings: the explicit schema's, else those inferred from the file.
pub(crate) fn loaded_schema(file: &[FileColumn], spec: &LoadSpec) -> Result<Vec<Field>, JobError> {
    let inference = inference(spec);
    let schema = match &spec.schema {
        Some(explicit) => {
            let context = Explicit { inference, ignore_unknown_values: spec.ignore_unknown_values };
            context.check(file, explicit)?;
            explicit.clone()
        }
        None => {
            // A name that no table can have is said first: its type does not matter then.
            check_names(file)?;
            inference.infer_all(file)?
        }
    };
    check_schema(&schema).map_err(JobError::invalid)?;
    Ok(schema)
}

fn inference(spec: &LoadSpec) -> Inference<'_> {
    Inference {
        enum_as_string: spec.enum_as_string,
        list_inference: spec.list_inference,
        decimal_targets: &spec.decimal_targets,
    }
}

fn check_names(file: &[FileColumn]) -> Result<(), JobError> {
    let named = |column: &FileColumn| Field::new(&column.name, Kind::String, Mode::Nullable);
    check_schema(&file.iter().map(named).collect::<Vec<_>>()).map_err(JobError::invalid)
}

/// The rules between a file and a schema that the job carries.
#[derive(Clone, Copy)]
struct Explicit<'a> {
    inference: Inference<'a>,
    ignore_unknown_values: bool,
}

impl Explicit<'_> {
    fn check(self, file: &[FileColumn], schema: &[Field]) -> Result<(), JobError> {
        for field in schema {
            match file.iter().find(|column| same_name(&column.name, &field.name)) {
                Some(column) => self.check_column(column, field)?,
                None if field.mode == Mode::Required => {
                    let what = format!("Required column '{}' is missing from the file.", field.name);
                    return Err(JobError::unreadable(what));
                }
                None => {}
            }
        }
        let unknown =
            file.iter().find(|column| !schema.iter().any(|field| same_name(&field.name, &column.name)));
        match unknown {
            Some(column) if !self.ignore_unknown_values => Err(JobError::unreadable(format!(
                "Parquet column '{}' is not in the provided schema (ignoreUnknownValues would drop it).",
                column.name
            ))),
            _ => Ok(()),
        }
    }

    fn check_column(self, column: &FileColumn, field: &Field) -> Result<(), JobError> {
        match (&column.kind, self.inference.list_inference) {
            (FileKind::List { element, .. }, true) => {
                check_repeated(&column.name, Mode::Repeated, field.mode)?;
                let element = FileColumn {
                    mode: Mode::Repeated,
                    name: column.name.clone(),
                    kind: element.kind.clone(),
                };
                self.check_kind(&element, field)
            }
            (FileKind::List { group, element }, false) => {
                self.check_wrapped(column, field, group, std::slice::from_ref(element))
            }
            (FileKind::Map { group, entry }, _) => self.check_wrapped(column, field, group, entry),
            _ => {
                check_repeated(&column.name, column.mode, field.mode)?;
                self.check_kind(column, field)
            }
        }
    }

    /// A list or a map without list inference is a record around a repeated record.
    fn check_wrapped(
        self,
        column: &FileColumn,
        field: &Field,
        group: &str,
        inner: &[FileColumn],
    ) -> Result<(), JobError> {
        let repeated = FileColumn {
            name: group.to_owned(),
            mode: Mode::Repeated,
            kind: FileKind::Record(inner.to_vec()),
        };
        let outer = FileColumn {
            name: column.name.clone(),
            mode: column.mode,
            kind: FileKind::Record(vec![repeated]),
        };
        check_repeated(&column.name, outer.mode, field.mode)?;
        self.check_kind(&outer, field)
    }

    fn check_kind(self, column: &FileColumn, field: &Field) -> Result<(), JobError> {
        if !readable_as(&column.kind, field.kind) {
            return Err(JobError::unreadable(format!(
                "Parquet column '{}' has type {} which does not match the target type {}.",
                column.name,
                column.kind.describe(),
                field.kind.name(),
            )));
        }
        match &column.kind {
            FileKind::Record(columns) => self.check(columns, &field.fields),
            _ => Ok(()),
        }
    }
}

/// Being a list cannot be given or taken away by a schema. Being required can:
///
/// * REQUIRED over an OPTIONAL column was seen to work (googleapis/python-bigquery#1981), as long as no null comes;
/// * NULLABLE over a REQUIRED column is **accepted here**, although BigQuery refused it in 2019 ("Field 'x' is
///   specified as NULLABLE in provided schema which does not match REQUIRED as specified in the file",
///   googleapis/java-bigquery#13). Whether it still does has not been tried.
fn check_repeated(name: &str, in_file: Mode, in_schema: Mode) -> Result<(), JobError> {
    if (in_file == Mode::Repeated) == (in_schema == Mode::Repeated) {
        return Ok(());
    }
    Err(JobError::invalid(format!(
        "Field '{name}' is specified as {} in provided schema which does not match {} as specified in the file.",
        in_schema.name(),
        in_file.name(),
    )))
}

/// What a table's schema becomes when a load is appended to it.
pub(crate) fn append(
    table: &TableKey,
    existing: &[Field],
    loaded: &[Field],
    spec: &LoadSpec,
) -> Result<Vec<Field>, JobError> {
    Append { table, spec }.merge(existing, loaded, "")
}

#[derive(Clone, Copy)]
struct Append<'a> {
    table: &'a TableKey,
    spec: &'a LoadSpec,
}

impl Append<'_> {
    fn merge(self, existing: &[Field], loaded: &[Field], path: &str) -> Result<Vec<Field>, JobError> {
        let mut merged = Vec::with_capacity(existing.len());
        for old in existing {
            merged.push(match loaded.iter().find(|new| same_name(&new.name, &old.name)) {
                Some(new) => self.merge_field(old, new, path)?,
                None => self.keep_missing(old, path)?,
            });
        }
        for new in loaded {
            if !existing.iter().any(|old| same_name(&old.name, &new.name)) {
                merged.extend(self.add(new, path)?);
            }
        }
        Ok(merged)
    }

    fn merge_field(self, old: &Field, new: &Field, path: &str) -> Result<Field, JobError> {
        let path = format!("{path}{}", old.name);
        if old.kind != new.kind {
            let (from, to) = (old.kind.name(), new.kind.name());
            return Err(self.mismatch(format!("Field {path} has changed type from {from} to {to}")));
        }
        let mode = self.merge_mode(old.mode, new.mode, &path)?;
        let fields = self.merge(&old.fields, &new.fields, &format!("{path}."))?;
        Ok(Field { mode, fields, ..old.clone() })
    }

    /// An explicit schema may say REQUIRED or NULLABLE as it likes while the table's mode allows the rows;
    /// what is inferred from the file must agree, unless relaxing is allowed
    /// ("Field x has changed mode from REQUIRED to NULLABLE", googleapis/google-cloud-python#8093).
    fn merge_mode(self, old: Mode, new: Mode, path: &str) -> Result<Mode, JobError> {
        match (old, new) {
            _ if old == new => Ok(old),
            (Mode::Required, Mode::Nullable) if self.spec.allow_field_relaxation => Ok(Mode::Nullable),
            _ => Err(self.mismatch(format!(
                "Field {path} has changed mode from {} to {}",
                old.name(),
                new.name()
            ))),
        }
    }

    fn keep_missing(self, old: &Field, path: &str) -> Result<Field, JobError> {
        match old.mode {
            Mode::Required if self.spec.allow_field_relaxation => {
                Ok(Field { mode: Mode::Nullable, ..old.clone() })
            }
            Mode::Required => {
                Err(self.mismatch(format!("Field {path}{} is missing in new schema", old.name)))
            }
            Mode::Nullable | Mode::Repeated => Ok(old.clone()),
        }
    }

    /// A column that is new to the table: `None` if it is to be dropped.
    fn add(self, new: &Field, path: &str) -> Result<Option<Field>, JobError> {
        if !self.spec.allow_field_addition {
            if self.spec.ignore_unknown_values {
                return Ok(None);
            }
            return Err(self.mismatch(format!("Cannot add fields (field: {path}{})", new.name)));
        }
        // Refused whatever the options are (GoogleCloudDataproc/spark-bigquery-connector#287).
        if new.mode == Mode::Required {
            let field = format!("{path}{}", new.name);
            return Err(
                self.mismatch(format!("Cannot add required fields to an existing schema. (field: {field})"))
            );
        }
        Ok(Some(new.clone()))
    }

    fn mismatch(self, what: String) -> JobError {
        JobError::invalid(format!("Provided Schema does not match Table {}. {what}", self.table))
    }
}

/// Checks that a table's partitioning and clustering name columns that can serve for it.
pub(crate) fn check_layout(layout: &Layout, schema: &[Field]) -> Result<(), JobError> {
    if let Some(TimePartitioning { unit, field: Some(name), .. }) = &layout.time_partitioning {
        check_partition_column(*unit, name, schema)?;
    }
    for name in &layout.clustering {
        let clusterable = |field: &&Field| {
            same_name(&field.name, name)
                && field.mode != Mode::Repeated
                && !matches!(field.kind, Kind::Float | Kind::Bytes | Kind::Json | Kind::Record | Kind::Time)
        };
        if !schema.iter().any(|field| clusterable(&field)) {
            let what = "The field specified for clustering cannot be found in the schema, or has a type that cannot be \
                        clustered by.";
            return Err(JobError::invalid(format!("{what} Invalid field: {name}.")));
        }
    }
    Ok(())
}

fn check_partition_column(unit: PartitionUnit, name: &str, schema: &[Field]) -> Result<(), JobError> {
    let Some(field) = schema.iter().find(|field| same_name(&field.name, name)) else {
        let what = format!("The field specified for partitioning cannot be found in the schema: {name}.");
        return Err(JobError::invalid(what));
    };
    let by_hour = unit == PartitionUnit::Hour;
    let fits = match field.kind {
        Kind::Timestamp | Kind::DateTime => true,
        Kind::Date => !by_hour,
        _ => false,
    };
    if fits && field.mode != Mode::Repeated {
        return Ok(());
    }
    let allowed = if by_hour { "TIMESTAMP or DATETIME" } else { "TIMESTAMP, DATE or DATETIME" };
    let found = field.kind.name();
    Err(JobError::invalid(format!(
        "The field specified for time partitioning can only be of type {allowed}. The type found is: {found}."
    )))
}

/// A load that names partitioning or clustering must name the table's own.
pub(crate) fn check_same_layout(existing: &Layout, asked: &Layout) -> Result<(), JobError> {
    let same_partitioning = match (&existing.time_partitioning, &asked.time_partitioning) {
        (Some(existing), Some(asked)) => existing.agrees_with(asked),
        (None, None) => true,
        _ => false,
    };
    let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    let same_clustering = lower(&existing.clustering) == lower(&asked.clustering);
    if asked.is_none() || (same_partitioning && same_clustering) {
        return Ok(());
    }
    Err(JobError::invalid(format!(
        "Incompatible table partitioning specification. Expects partitioning specification {}, but input partitioning \
         specification is {}",
        describe(existing),
        describe(asked),
    )))
}

fn describe(layout: &Layout) -> String {
    let interval = layout.time_partitioning.as_ref().map(|by| match &by.field {
        Some(field) => format!("interval(type:{},field:{field})", by.unit.name()),
        None => format!("interval(type:{})", by.unit.name()),
    });
    let clustering = match layout.clustering.as_slice() {
        [] => None,
        fields => Some(format!("clustering({})", fields.join(","))),
    };
    let known: Vec<String> = interval.into_iter().chain(clustering).collect();
    if known.is_empty() { "none".to_owned() } else { known.join(" ") }
}
