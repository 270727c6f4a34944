//! The JSON Schema of mappings, for editors.
//!
//! The types here mirror what the reader of mappings reads, with the words that an editor shows. They are
//! never filled: the reader alone decides what is valid, since it knows more than a schema can say. Tests
//! keep the fields of both the same, and `mappings/schema.json` up to date.

#![expect(dead_code, reason = "only the shape of these types counts")]

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// The JSON Schema of mappings, as it is published beside them.
pub fn text() -> String {
    let mut text = format!("{:#}", value());
    text.push('\n');
    text
}

/// Draft 7, since editors know it best, and in one piece, so that hovering shows each field's own words.
fn value() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Mapping>();
    RecursiveTransform(as_editors_like_it).transform(&mut schema);
    schema.to_value()
}

/// Makes an optional field one that is written or not, since `null` is a value of `partition` alone, and
/// puts each description on one line, as editors show it.
fn as_editors_like_it(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    if schema.remove("x-null").is_some() {
        return;
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(Value::Array(types)) = schema.get_mut("type") else { return };
    types.retain(|kind| kind != "null");
    if let [only] = types.as_slice() {
        let only = only.clone();
        schema.insert("type".to_owned(), only);
    }
}

/// A dms2bq mapping: one landing prefix of AWS DMS in S3, and where its tables go in BigQuery.
#[derive(JsonSchema)]
#[schemars(title = "dms2bq mapping", deny_unknown_fields)]
struct Mapping {
    /// Where this schema is, for your editor. dms2bq never opens it.
    #[schemars(rename = "$schema", example = &"./schema.json", regex(pattern = r"(^|/)schema\.json$"))]
    schema: Option<String>,
    /// What DMS writes, and where.
    source: Source,
    /// Where it goes, unless a rule says otherwise.
    destination: Destination,
    /// Table options for every rule that does not have its own. An option in a rule replaces the same
    /// option here as a whole.
    defaults: Option<Options>,
    /// Which tables are loaded, and where to. An exclude wins; then the most specific rule: a literal
    /// schema before a pattern, a literal table before a pattern, more literal characters. A table that
    /// no rule matches is an error, so that no table is forgotten.
    tables: Vec<Rule>,
}

/// What DMS writes, and where.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Source {
    /// The bucket's name.
    #[schemars(example = &"acme-landing", length(min = 3, max = 255), regex(pattern = "^[A-Za-z0-9._-]+$"))]
    bucket: String,
    /// The BucketFolder of the DMS endpoint. Left out: `schema/table/` stands at the bucket's root.
    #[schemars(example = &"dms/casino-a")]
    bucket_folder: Option<String>,
    /// The date folders of CDC files, if the endpoint has DatePartitionEnabled.
    date_partition: Option<DatePartition>,
    /// The DatePartitionTimezone of the endpoint: `UTC` (the default) or an Area/Location.
    #[schemars(example = &"Asia/Seoul", extend("default" = "UTC"))]
    timezone: Option<String>,
    /// Whether full loads may stand in a folder per segment below the table, as DMS's parallel load
    /// writes them.
    #[schemars(extend("default" = false))]
    parallel_load: Option<bool>,
    /// `ignore` says that somebody knows of the `CDC_TXN-*` transaction files, and that they need not be
    /// loaded. Left out, each is an error, since they may be the only copy of the changes.
    transaction_files: Option<TransactionFiles>,
    /// Whether to load objects that S3 copied here. DMS does not copy; a copy made in place would load
    /// its rows again.
    #[schemars(extend("default" = false))]
    copies: Option<bool>,
}

/// What to do with transaction files.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum TransactionFiles {
    Ignore,
}

/// The date folders of CDC files.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DatePartition {
    /// DatePartitionSequence. DMS's default is YYYYMMDD.
    #[schemars(extend("default" = "YYYYMMDD"))]
    sequence: Option<Sequence>,
    /// DatePartitionDelimiter. DMS's default is SLASH.
    #[schemars(extend("default" = "SLASH"))]
    delimiter: Option<Delimiter>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum Sequence {
    Yyyymmdd,
    Yyyymmddhh,
    Yyyymm,
    Mmyyyydd,
    Ddmmyyyy,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum Delimiter {
    Slash,
    Dash,
    Underscore,
    None,
}

/// Where the tables go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Destination {
    /// The id of the Google project (not its name or number).
    #[schemars(example = &"acme-dw", regex(pattern = PROJECT))]
    project: String,
    /// The dataset's location, as BigQuery spells it.
    #[schemars(example = &"asia-northeast3", example = &"US", example = &"EU", regex(pattern = LOCATION))]
    location: String,
    /// The BigQuery dataset, which must exist. `{schema}` and `{table}` stand for the source's names.
    #[schemars(example = &"casino_a", regex(pattern = DATASET))]
    dataset: String,
}

/// Where the tables of one rule go; what is left out is as in the mapping's destination.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RuleDestination {
    /// The id of another Google project.
    #[schemars(regex(pattern = PROJECT))]
    project: Option<String>,
    /// The location of another dataset.
    #[schemars(regex(pattern = LOCATION))]
    location: Option<String>,
    /// Another dataset. `{schema}` and `{table}` stand for the source's names.
    #[schemars(regex(pattern = DATASET))]
    dataset: Option<String>,
    /// The table. `{schema}` and `{table}` stand for the source's names. Left out: `{table}`.
    #[schemars(example = &"{schema}_{table}", extend("default" = "{table}"))]
    table: Option<String>,
}

const PROJECT: &str = r"^([a-z0-9.-]+\.[a-z0-9-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$";
const LOCATION: &str = r"^(US|EU|[a-z]+(-[a-z]+)*-[a-z]+[0-9]{1,2})$";
const DATASET: &str = r"^([A-Za-z0-9_]|\{schema\}|\{table\})+$";

/// Which tables, and what to do with them.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rule {
    /// The schema (in MySQL, the database) as the S3 key spells it, or a pattern as in DMS: `%` any
    /// characters, `_` one character, `[_]` an underscore, `[ab]` a or b, `[a-d]` a to d. Case counts.
    #[schemars(example = &"game", example = &"%", length(min = 1, max = 1024))]
    schema: String,
    /// The table as the S3 key spells it, or a pattern.
    #[schemars(example = &"player", example = &"log_%", length(min = 1, max = 1024))]
    table: String,
    /// `exclude`: the files of these tables are not loaded, whatever other rules say.
    #[schemars(extend("default" = "include"))]
    action: Option<Action>,
    /// Where these tables go, if not where the mapping says.
    destination: Option<RuleDestination>,
    #[schemars(flatten)]
    options: Options,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Action {
    Include,
    Exclude,
}

/// How tables are made and loaded.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Options {
    /// How the table is partitioned when the first load creates it. By day of loading unless you say
    /// otherwise, since that lifts BigQuery's 1,500 changes of a table per day to 11,000, and cannot be
    /// added later. `null`: not at all.
    #[schemars(extend("default" = json!({ "type": "DAY" }), "x-null" = true))]
    partition: Option<Partition>,
    /// The columns to cluster the table by when the first load creates it; four at most.
    #[schemars(length(max = 4), example = json!(["player_id"]))]
    cluster_by: Option<Vec<String>>,
    /// BigQuery types for columns that should not be inferred from the file, by column name.
    #[schemars(example = json!({ "balance": { "type": "BIGNUMERIC" } }))]
    columns: Option<BTreeMap<String, Column>>,
    /// The Cloud KMS key of the table, as a resource name.
    #[schemars(
        example = &"projects/acme-dw/locations/asia-northeast3/keyRings/bq/cryptoKeys/casino",
        regex(pattern = r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$")
    )]
    kms_key: Option<String>,
    /// Raise it to load the same files once more, on purpose: their rows are added again.
    #[schemars(extend("default" = 0))]
    generation: Option<u64>,
}

/// How a table is partitioned.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Partition {
    /// The span of one partition.
    #[schemars(rename = "type")]
    kind: PartitionUnit,
    /// The DATE, DATETIME or TIMESTAMP column to partition by. Left out: by the time of loading.
    column: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum PartitionUnit {
    Day,
    Hour,
    Month,
    Year,
}

/// How a column is loaded.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Column {
    /// A BigQuery type.
    #[schemars(rename = "type")]
    kind: ColumnType,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum ColumnType {
    String,
    Bytes,
    Integer,
    Int64,
    Float,
    Float64,
    Boolean,
    Bool,
    Numeric,
    Bignumeric,
    Date,
    Time,
    Datetime,
    Timestamp,
    Json,
    Geography,
}

#[cfg(test)]
mod tests {
    use super::super::{mapping, options};
    use super::*;
    use crate::key::{Delimiter, Sequence};

    /// The fields of the object that a JSON pointer leads to, in the schema.
    fn fields(schema: &Value, pointer: &str) -> Vec<String> {
        let object = schema.pointer(pointer).and_then(Value::as_object);
        let mut fields: Vec<String> = object.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        fields.sort();
        fields
    }

    #[test]
    fn the_schema_has_the_fields_that_the_reader_reads() {
        let schema = value();
        let rule = "/properties/tables/items/properties";
        let objects: [(String, &[&str]); 8] = [
            ("/properties".to_owned(), mapping::TOP_FIELDS),
            ("/properties/source/properties".to_owned(), mapping::SOURCE_FIELDS),
            ("/properties/source/properties/date_partition/properties".to_owned(), mapping::DATE_FIELDS),
            ("/properties/destination/properties".to_owned(), mapping::DESTINATION_FIELDS),
            ("/properties/defaults/properties".to_owned(), options::FIELDS),
            (rule.to_owned(), mapping::RULE_FIELDS),
            (format!("{rule}/destination/properties"), mapping::RULE_DESTINATION_FIELDS),
            (format!("{rule}/partition/properties"), options::PARTITION_FIELDS),
        ];
        for (pointer, read) in objects {
            let mut read: Vec<String> = read.iter().map(|field| (*field).to_owned()).collect();
            read.sort();
            assert_eq!(fields(&schema, &pointer), read, "the fields at {pointer}");
        }
    }

    /// The words that may stand where a JSON pointer leads to, in the schema.
    fn words(schema: &Value, pointer: &str) -> Vec<String> {
        let words = schema.pointer(pointer).and_then(|at| at.get("enum")).and_then(Value::as_array);
        let mut words: Vec<String> =
            words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        words.sort();
        words
    }

    #[test]
    fn the_schema_has_the_words_that_the_reader_knows() {
        let schema = value();
        let date = "/properties/source/properties/date_partition/properties";
        let defaults = "/properties/defaults/properties";
        let places: [(String, Vec<&str>); 4] = [
            (format!("{date}/sequence"), Sequence::ALL.map(Sequence::as_str).to_vec()),
            (format!("{date}/delimiter"), Delimiter::ALL.map(Delimiter::as_str).to_vec()),
            (
                format!("{defaults}/partition/properties/type"),
                options::UNITS.iter().map(|unit| unit.0).collect(),
            ),
            (
                format!("{defaults}/columns/additionalProperties/properties/type"),
                options::TYPES.iter().map(|kind| kind.0).collect(),
            ),
        ];
        for (pointer, mut known) in places {
            known.sort_unstable();
            assert_eq!(words(&schema, &pointer), known, "the words at {pointer}");
        }
    }
}
