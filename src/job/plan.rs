//! Object, key, route, footer and what is known of the table → the job that BigQuery is asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::job::id::{Identity, JobId};
use crate::job::schema::{self, SchemaError};
use crate::job::{JobRef, LoadJob, Part, TableInfo};
use crate::key::DmsKey;
use crate::object::Object;
use crate::object::footer::Footer;
use crate::route::{Route, TableOptions};

/// A label's value holds 63 characters at most
/// (<https://cloud.google.com/bigquery/docs/labels-intro#requirements>).
const LABEL_MAX_CHARS: usize = 63;

/// The label that proves whose job it is.
pub const OBJECT_LABEL: &str = "object";

/// The label that keeps the footer's row count, for when the object is not read again.
pub const ROWS_LABEL: &str = "rows";

/// What a load job is made from.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The bytes.
    pub object: &'a Object,
    /// Their size.
    pub size_bytes: u64,
    /// What the file says of itself.
    pub footer: &'a Footer,
    /// What DMS meant.
    pub key: &'a DmsKey,
    /// Where it goes.
    pub route: &'a Route,
    /// The destination as it is now; `None` if this load is to create it.
    pub table: Option<&'a TableInfo>,
}

impl Plan<'_> {
    /// Plans the `attempt`-th job.
    ///
    /// # Errors
    /// [`SchemaError`] if the job needs an explicit schema and the file's columns do not allow one.
    pub fn job(&self, attempt: u32) -> Result<LoadJob, SchemaError> {
        let identity = Identity::of(self.object, self.route);
        let job = JobRef {
            project: self.route.destination.project.clone(),
            location: self.route.location.clone(),
            id: JobId::of(&identity, self.key, attempt).as_str().to_owned(),
        };
        let resource = json!({
            "jobReference": { "projectId": job.project, "location": job.location, "jobId": job.id },
            "configuration": { "labels": self.labels(&identity), "load": self.load()? },
        });
        let whole =
            Part::Range { object: self.object.clone(), offset_bytes: 0, length_bytes: self.size_bytes };
        Ok(LoadJob { job, resource, parts: vec![whole] })
    }

    fn load(&self) -> Result<Value, SchemaError> {
        let destination = &self.route.destination;
        let mut load = json!({
            "destinationTable": {
                "projectId": destination.project,
                "datasetId": destination.dataset,
                "tableId": destination.table,
            },
            "sourceFormat": "PARQUET",
            "createDisposition": "CREATE_IF_NEEDED",
            // Loads only append: the second file of a full load would erase the first.
            "writeDisposition": "WRITE_APPEND",
            "schemaUpdateOptions": ["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"],
            // The narrowest that fits; without the wider two a DECIMAL(38,4) fails.
            "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC", "STRING"],
            // A project may be set to mend names, and two could become one.
            "columnNameCharacterMap": "STRICT",
            "parquetOptions": { "enumAsString": true, "enableListInference": true },
        });
        if let Some(load) = load.as_object_mut() {
            if self.table.is_none() {
                creation(load, &self.route.options);
            }
            if let Some(fields) =
                schema::explicit_schema(self.footer, self.table, &self.route.options.columns)?
            {
                load.insert("schema".to_owned(), json!({ "fields": fields }));
            }
        }
        Ok(load)
    }

    fn labels(&self, identity: &Identity) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (OBJECT_LABEL, identity.label().to_owned()),
            ("table", label(&format!("{}.{}", self.key.schema, self.key.table))),
            ("kind", self.key.file.kind().to_owned()),
            ("mapping", label(&self.route.mapping)),
            (ROWS_LABEL, self.footer.row_count.to_string()),
            ("version", label(env!("CARGO_PKG_VERSION"))),
        ])
    }
}

/// What is said only when the load creates the table: BigQuery refuses a partitioning that differs from the
/// table's, and a person may have made the table otherwise on purpose.
fn creation(load: &mut Map<String, Value>, options: &TableOptions) {
    if let Some(partition) = &options.partition {
        let mut spec = json!({ "type": partition.unit.as_str() });
        if let Some(column) = &partition.column {
            spec["field"] = json!(column);
        }
        load.insert("timePartitioning".to_owned(), spec);
    }
    if !options.cluster_by.is_empty() {
        load.insert("clustering".to_owned(), json!({ "fields": options.cluster_by }));
    }
    if let Some(kms_key) = &options.kms_key {
        load.insert("destinationEncryptionConfiguration".to_owned(), json!({ "kmsKeyName": kms_key }));
    }
}

/// Spells a text in the alphabet of labels: lower-case ASCII letters, digits, `_` and `-`.
fn label(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.map(|c| if allowed(c) { c } else { '-' }).take(LABEL_MAX_CHARS).collect()
}
