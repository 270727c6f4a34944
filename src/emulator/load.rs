//! What a load job asks for: `configuration.load`, read once and strictly.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::names::{TableKey, check_labels};
use super::schema::{Field, parse_schema};
use super::table::{Layout, TimePartitioning};

/// The most clustering columns (<https://cloud.google.com/bigquery/docs/clustered-tables#limitations>).
const CLUSTERING_MAX: usize = 4;

/// Settings of other file formats: clients send them with their defaults whatever the format is.
const WITHOUT_EFFECT_ON_PARQUET: [&str; 16] = [
    "allowJaggedRows",
    "allowQuotedNewlines",
    "autodetect",
    "encoding",
    "fieldDelimiter",
    "jsonExtension",
    "maxBadRecords",
    "nullMarker",
    "nullMarkers",
    "preserveAsciiControlCharacters",
    "quote",
    "skipLeadingRows",
    "sourceColumnMatch",
    "useAvroLogicalTypes",
    "createSession",
    "connectionProperties",
];

/// A load job's wishes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoadSpec {
    pub(crate) destination: TableKey,
    /// The explicit schema, if there is one.
    pub(crate) schema: Option<Vec<Field>>,
    pub(crate) create_if_needed: bool,
    pub(crate) write: WriteDisposition,
    pub(crate) allow_field_addition: bool,
    pub(crate) allow_field_relaxation: bool,
    pub(crate) ignore_unknown_values: bool,
    pub(crate) enum_as_string: bool,
    pub(crate) list_inference: bool,
    pub(crate) decimal_targets: Vec<DecimalTarget>,
    pub(crate) layout: Layout,
    pub(crate) kms_key: Option<String>,
}

/// What happens to the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum WriteDisposition {
    #[default]
    #[serde(rename = "WRITE_APPEND")]
    Append,
    #[serde(rename = "WRITE_TRUNCATE")]
    Truncate,
    #[serde(rename = "WRITE_EMPTY")]
    Empty,
}

/// What a decimal may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum DecimalTarget {
    Numeric,
    BigNumeric,
    String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLoad {
    destination_table: Option<RawTable>,
    source_format: Option<String>,
    schema: Option<Value>,
    create_disposition: Option<CreateDisposition>,
    #[serde(default)]
    write_disposition: WriteDisposition,
    #[serde(default)]
    schema_update_options: Vec<SchemaUpdate>,
    #[serde(default)]
    ignore_unknown_values: bool,
    #[serde(default)]
    parquet_options: ParquetOptions,
    #[serde(default)]
    decimal_target_types: Vec<DecimalTarget>,
    time_partitioning: Option<TimePartitioning>,
    clustering: Option<Clustering>,
    destination_encryption_configuration: Option<Encryption>,
    column_name_character_map: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTable {
    project_id: Option<String>,
    dataset_id: String,
    table_id: String,
}

#[derive(Deserialize, PartialEq)]
enum CreateDisposition {
    #[serde(rename = "CREATE_IF_NEEDED")]
    IfNeeded,
    #[serde(rename = "CREATE_NEVER")]
    Never,
}

#[derive(Deserialize, PartialEq)]
enum SchemaUpdate {
    #[serde(rename = "ALLOW_FIELD_ADDITION")]
    Addition,
    #[serde(rename = "ALLOW_FIELD_RELAXATION")]
    Relaxation,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ParquetOptions {
    #[serde(default)]
    enum_as_string: bool,
    #[serde(default)]
    enable_list_inference: bool,
    map_target_type: Option<String>,
}

#[derive(Deserialize)]
struct Clustering {
    #[serde(default)]
    fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encryption {
    kms_key_name: Option<String>,
}

impl LoadSpec {
    /// Reads `configuration` of a job resource.
    pub(crate) fn parse(configuration: &Value, project: &str) -> Result<Self, ApiError> {
        check_configuration(configuration)?;
        let load = configuration.get("load").cloned().unwrap_or_default();
        let raw: RawLoad = serde_json::from_value(load)
            .map_err(|source| ApiError::invalid(format!("Invalid value in configuration.load: {source}")))?;
        refuse_unsupported(&raw)?;
        let to = raw
            .destination_table
            .ok_or_else(|| ApiError::invalid("Required parameter is missing: destinationTable"))?;
        let destination =
            TableKey::parse(to.project_id.as_deref().unwrap_or(project), &to.dataset_id, &to.table_id)?;
        Ok(Self {
            destination,
            schema: raw.schema.as_ref().map(parse_schema).transpose()?.filter(|fields| !fields.is_empty()),
            create_if_needed: raw.create_disposition != Some(CreateDisposition::Never),
            write: raw.write_disposition,
            allow_field_addition: raw.schema_update_options.contains(&SchemaUpdate::Addition),
            allow_field_relaxation: raw.schema_update_options.contains(&SchemaUpdate::Relaxation),
            ignore_unknown_values: raw.ignore_unknown_values,
            enum_as_string: raw.parquet_options.enum_as_string,
            list_inference: raw.parquet_options.enable_list_inference,
            decimal_targets: decimal_targets(raw.decimal_target_types),
            layout: Layout {
                time_partitioning: raw.time_partitioning,
                clustering: clustering_fields(raw.clustering.map(|it| it.fields))?,
            },
            kms_key: raw.destination_encryption_configuration.and_then(|it| it.kms_key_name),
        })
    }
}

/// The targets from narrow to wide; NUMERIC alone if none is given, as BigQuery does for Parquet.
fn decimal_targets(mut targets: Vec<DecimalTarget>) -> Vec<DecimalTarget> {
    targets.sort();
    targets.dedup();
    if targets.is_empty() { vec![DecimalTarget::Numeric] } else { targets }
}

/// Checks the number of clustering columns.
pub(crate) fn clustering_fields(fields: Option<Vec<String>>) -> Result<Vec<String>, ApiError> {
    let fields = fields.unwrap_or_default();
    if fields.len() > CLUSTERING_MAX {
        let count = fields.len();
        return Err(ApiError::invalid(format!(
            "Clustering is limited to {CLUSTERING_MAX} columns, but {count} are given."
        )));
    }
    Ok(fields)
}

/// Checks what stands beside `load`: one kind of job, and labels.
fn check_configuration(configuration: &Value) -> Result<(), ApiError> {
    for kind in ["query", "copy", "extract"] {
        if configuration.get(kind).is_some() {
            return Err(ApiError::not_implemented(format!("runs load jobs only, no {kind} job")));
        }
    }
    if !configuration.get("load").is_some_and(Value::is_object) {
        return Err(ApiError::invalid(
            "Job configuration must contain exactly one job-specific configuration object",
        ));
    }
    if configuration.get("dryRun").and_then(Value::as_bool) == Some(true) {
        return Err(ApiError::not_implemented("knows no dryRun"));
    }
    let labels = configuration.get("labels").cloned().unwrap_or(Value::Null);
    let labels: Option<BTreeMap<String, String>> = serde_json::from_value(labels)
        .map_err(|source| ApiError::invalid(format!("Invalid labels: {source}")))?;
    check_labels(labels.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn refuse_unsupported(raw: &RawLoad) -> Result<(), ApiError> {
    match raw.source_format.as_deref() {
        Some("PARQUET") => {}
        None | Some("CSV" | "NEWLINE_DELIMITED_JSON" | "AVRO" | "ORC" | "DATASTORE_BACKUP") => {
            return Err(ApiError::not_implemented("loads PARQUET only: set configuration.load.sourceFormat"));
        }
        Some(other) => return Err(ApiError::invalid(format!("Invalid value for sourceFormat: {other}"))),
    }
    if raw.rest.contains_key("sourceUris") {
        let what = "reads no sourceUris: upload the file (POST /upload/bigquery/v2/projects/{project}/jobs)";
        return Err(ApiError::not_implemented(what));
    }
    if let Some(target) = raw.parquet_options.map_target_type.as_deref()
        && target != "MAP_TARGET_TYPE_UNSPECIFIED"
    {
        return Err(ApiError::not_implemented(format!("knows no mapTargetType {target}")));
    }
    if let Some(map) = raw.column_name_character_map.as_deref()
        && !matches!(map, "STRICT" | "COLUMN_NAME_CHARACTER_MAP_UNSPECIFIED")
    {
        return Err(ApiError::not_implemented(format!("knows no columnNameCharacterMap {map}, only STRICT")));
    }
    let known = |name: &str| WITHOUT_EFFECT_ON_PARQUET.contains(&name);
    match raw.rest.iter().find(|(name, value)| !value.is_null() && !known(name)) {
        Some((name, _)) => Err(ApiError::not_implemented(format!("does not know configuration.load.{name}"))),
        None => Ok(()),
    }
}
