//! Datasets and tables as they are kept: `dataset.json` and `table.json`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::names::{DatasetKey, JobKey, TableKey};
use super::schema::Field;

/// A dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dataset {
    pub(crate) key: DatasetKey,
    pub(crate) location: String,
    pub(crate) created_ms: u64,
    /// What the client gave besides (labels, description, …), echoed as it was.
    #[serde(default)]
    pub(crate) given: Map<String, Value>,
}

impl Dataset {
    pub(crate) fn resource(&self, base_url: &str) -> Value {
        let DatasetKey { project, dataset } = &self.key;
        let mut resource = self.given.clone();
        let computed = json!({
            "kind": "bigquery#dataset",
            "etag": format!("{:x}", self.created_ms),
            "id": self.key.to_string(),
            "selfLink": format!("{base_url}/bigquery/v2/projects/{project}/datasets/{dataset}"),
            "datasetReference": { "projectId": project, "datasetId": dataset },
            "location": self.location,
            "creationTime": self.created_ms.to_string(),
            "lastModifiedTime": self.created_ms.to_string(),
            "type": "DEFAULT",
        });
        merge(&mut resource, computed);
        Value::Object(resource)
    }

    pub(crate) fn list_item(&self) -> Value {
        let DatasetKey { project, dataset } = &self.key;
        json!({
            "kind": "bigquery#dataset",
            "id": self.key.to_string(),
            "datasetReference": { "projectId": project, "datasetId": dataset },
            "location": self.location,
            "labels": self.given.get("labels").cloned().unwrap_or_else(|| json!({})),
        })
    }
}

fn merge(resource: &mut Map<String, Value>, computed: Value) {
    if let Value::Object(computed) = computed {
        resource.extend(computed);
    }
}

/// How a table is partitioned by time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimePartitioning {
    #[serde(rename = "type")]
    pub(crate) unit: PartitionUnit,
    /// The column; without one, the time of the load decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// Echoed, never acted on: nothing expires here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expiration_ms: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) require_partition_filter: Option<bool>,
}

impl TimePartitioning {
    /// Whether two say the same about where a row goes.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let field = |it: &Self| it.field.as_ref().map(|name| name.to_lowercase());
        self.unit == other.unit && field(self) == field(other)
    }
}

/// How long a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum PartitionUnit {
    Hour,
    Day,
    Month,
    Year,
}

impl PartitionUnit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// What a table is besides its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    #[serde(default)]
    pub(crate) time_partitioning: Option<TimePartitioning>,
    #[serde(default)]
    pub(crate) clustering: Vec<String>,
}

impl Layout {
    pub(crate) fn is_none(&self) -> bool {
        self.time_partitioning.is_none() && self.clustering.is_empty()
    }
}

/// A table, as `table.json` keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) key: TableKey,
    pub(crate) location: String,
    pub(crate) created_ms: u64,
    pub(crate) modified_ms: u64,
    pub(crate) schema: Vec<Field>,
    pub(crate) layout: Layout,
    pub(crate) kms_key: Option<String>,
    /// What the client gave besides (labels, description, …), echoed as it was.
    #[serde(default)]
    pub(crate) given: Map<String, Value>,
    /// The schemas that parts were loaded with; parts name theirs by its place here.
    #[serde(default)]
    pub(crate) loaded_schemas: Vec<Vec<Field>>,
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
}

/// What one load added: a Parquet file, kept as it was uploaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) file: String,
    pub(crate) job: JobKey,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) loaded_ms: u64,
    /// Which of [`Table::loaded_schemas`] says what of the file was loaded.
    pub(crate) loaded_schema: usize,
}

impl Table {
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    pub(crate) fn part_of(&self, job: &JobKey) -> Option<&Part> {
        self.parts.iter().find(|part| part.job == *job)
    }

    /// The place of a schema among [`Table::loaded_schemas`], added if it is new.
    pub(crate) fn intern_schema(&mut self, schema: Vec<Field>) -> usize {
        if let Some(place) = self.loaded_schemas.iter().position(|known| *known == schema) {
            return place;
        }
        self.loaded_schemas.push(schema);
        self.loaded_schemas.len() - 1
    }

    pub(crate) fn etag(&self) -> String {
        format!("{:x}-{:x}", self.modified_ms, self.rows())
    }

    fn reference(&self) -> Value {
        let TableKey { dataset, table } = &self.key;
        json!({ "projectId": dataset.project, "datasetId": dataset.dataset, "tableId": table })
    }

    pub(crate) fn resource(&self, base_url: &str) -> Value {
        let TableKey { dataset: DatasetKey { project, dataset }, table } = &self.key;
        let mut resource = self.given.clone();
        let computed = json!({
            "kind": "bigquery#table",
            "etag": self.etag(),
            "id": self.key.to_string(),
            "selfLink": format!("{base_url}/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}"),
            "tableReference": self.reference(),
            "type": "TABLE",
            "location": self.location,
            "schema": { "fields": self.schema },
            "numRows": self.rows().to_string(),
            "numBytes": self.bytes().to_string(),
            "numLongTermBytes": "0",
            "creationTime": self.created_ms.to_string(),
            "lastModifiedTime": self.modified_ms.to_string(),
        });
        merge(&mut resource, computed);
        self.describe_layout(&mut resource);
        Value::Object(resource)
    }

    pub(crate) fn list_item(&self) -> Value {
        let mut item = Map::new();
        let computed = json!({
            "kind": "bigquery#table",
            "id": self.key.to_string(),
            "tableReference": self.reference(),
            "type": "TABLE",
            "creationTime": self.created_ms.to_string(),
        });
        merge(&mut item, computed);
        self.describe_layout(&mut item);
        Value::Object(item)
    }

    fn describe_layout(&self, resource: &mut Map<String, Value>) {
        if let Some(partitioning) = &self.layout.time_partitioning {
            resource.insert("timePartitioning".to_owned(), json!(partitioning));
        }
        if !self.layout.clustering.is_empty() {
            resource.insert("clustering".to_owned(), json!({ "fields": self.layout.clustering }));
        }
        if let Some(key) = &self.kms_key {
            resource.insert("encryptionConfiguration".to_owned(), json!({ "kmsKeyName": key }));
        }
    }
}
