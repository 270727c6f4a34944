//! What a load gives or refuses: each file of `tests/cases/emulator` is one story of loads into one table.
//!
//! A story has `loads`, one after the other: `message` (the file's Parquet schema), `rows`, `load` (what the job
//! adds to its configuration) and either the number of rows `loaded` or `refused` with a reason and a part of
//! the message. At the end `schema` is what the table's columns must be, and `cells` what it must hold.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Client, assert_failed, job, quick, serve};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    /// What the story shows, in a sentence.
    what: String,
    /// A `tables.insert` before the first load.
    #[serde(default)]
    table: Option<Value>,
    loads: Vec<Load>,
    /// `name TYPE MODE` of each column, with fields of records behind it in brackets.
    #[serde(default)]
    schema: Option<Vec<String>>,
    #[serde(default)]
    cells: Option<Vec<Vec<Value>>>,
    /// Parts of the table's resource.
    #[serde(default)]
    resource: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    message: String,
    #[serde(default)]
    rows: Vec<Vec<Value>>,
    #[serde(default)]
    load: Value,
    #[serde(default)]
    loaded: Option<usize>,
    #[serde(default)]
    refused: Option<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    reason: String,
    message: String,
}

#[tokio::test]
async fn loads_give_and_refuse_what_bigquery_does() {
    let (running, client) = serve(quick()).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/emulator");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|it| it.to_str()).expect("a name").to_owned();
        let story: Story = serde_json::from_slice(&std::fs::read(&path).expect("a readable case"))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        eprintln!("{name}: {}", story.what);
        tell(&client, &name, &story).await;
        count += 1;
    }
    assert!(count > 20, "only {count} cases were found");
    running.shutdown().await;
}

async fn tell(client: &Client, name: &str, story: &Story) {
    if let Some(table) = &story.table {
        let mut table = table.clone();
        table["tableReference"] = json!({ "projectId": "proj", "datasetId": "ds", "tableId": name });
        let (status, answer) = client.post("/datasets/ds/tables", &table).await;
        assert_eq!(status, 200, "{answer}");
    }
    for (step, load) in story.loads.iter().enumerate() {
        let id = format!("{name}-{step}");
        let file = super::parquet::file(&load.message, &load.rows);
        let (status, answer) = client.insert(&job(&id, name, &load.load), &file).await;
        assert_eq!(status, 200, "load {step}: {answer}");
        let done = client.wait(&id).await;
        match (&load.refused, load.loaded) {
            (Some(refused), None) => assert_failed(&done, &refused.reason, &refused.message),
            (None, Some(rows)) => {
                assert_eq!(done["status"], json!({ "state": "DONE" }), "load {step}");
                assert_eq!(done["statistics"]["load"]["outputRows"], rows.to_string(), "load {step}");
            }
            _ => panic!("load {step} needs either `loaded` or `refused`"),
        }
    }
    check_table(client, name, story).await;
}

async fn check_table(client: &Client, name: &str, story: &Story) {
    if let Some(schema) = &story.schema {
        let table = client.table(name).await;
        let found: Vec<String> =
            table["schema"]["fields"].as_array().expect("fields").iter().map(describe).collect();
        assert_eq!(&found, schema);
    }
    if let Some(cells) = &story.cells {
        assert_eq!(&client.rows(name, "").await, cells);
    }
    if let Some(resource) = &story.resource {
        let table = client.table(name).await;
        for (key, value) in resource.as_object().expect("an object") {
            assert_eq!(&table[key], value, "{key}");
        }
    }
}

fn describe(field: &Value) -> String {
    let text = |name: &str| field[name].as_str().expect("text").to_owned();
    let own = format!("{} {} {}", text("name"), text("type"), text("mode"));
    match field["fields"].as_array() {
        Some(fields) => format!("{own} [{}]", fields.iter().map(describe).collect::<Vec<_>>().join(", ")),
        None => own,
    }
}
