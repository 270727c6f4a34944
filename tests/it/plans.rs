//! The load jobs that BigQuery is asked for, whole. A folder of `tests/cases/plans` holds `inputs.json` and, as
//! golden file, `request.json`; `UPDATE_CASES=1` writes the latter. To add a case, add a folder.

use std::path::Path;

use dms2bq::job::Part;
use dms2bq::job::plan::Plan;
use dms2bq::key::{self, KeyMeaning};
use dms2bq::object::{ETag, Footer, Object};
use dms2bq::route::{Decision, MappingFile, Mappings};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{cases, schema};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    #[serde(rename = "why")]
    _why: String,
    bucket: String,
    key: String,
    #[serde(default = "etag")]
    etag: String,
    #[serde(default)]
    attempt: u32,
    size_bytes: u64,
    rows: u64,
    /// The file's columns: name, mode and kind, as in the cases of schemas.
    file: Vec<[String; 3]>,
    /// The table's columns: name, mode and type; null if this load creates it.
    table: Option<Vec<[String; 3]>>,
    /// The name of the mapping file, and what it holds.
    mapping_file: String,
    mapping: Value,
}

fn etag() -> String {
    "d41d8cd98f00b204e9800998ecf8427e".to_owned()
}

#[test]
fn every_load_job_is_asked_for_as_its_case_says() {
    let folders = cases::folders("plans");
    assert!(folders.len() >= 15, "only {} cases", folders.len());
    let differences: Vec<String> = folders.iter().filter_map(|folder| walk(folder)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn walk(folder: &Path) -> Option<String> {
    let inputs: Inputs = cases::json(folder, "inputs.json");
    let request = plan(&inputs).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let text = format!("{}\n", serde_json::to_string_pretty(&request).unwrap());
    cases::difference(&folder.join("request.json"), &text)
}

fn plan(inputs: &Inputs) -> Result<Value, Box<dyn std::error::Error>> {
    let text = inputs.mapping.to_string();
    let mappings = Mappings::parse(vec![MappingFile { name: inputs.mapping_file.clone(), text }])?;
    let landing = mappings.landing(&inputs.bucket, &inputs.key)?;
    let KeyMeaning::Data(key) = key::parse(&inputs.key, landing.layout())? else {
        return Err("ignored".into());
    };
    let Decision::Load(route) = landing.resolve(&key)? else { return Err("excluded".into()) };
    let etag = ETag::parse(&inputs.etag).ok_or("no etag")?;
    let object = Object::new(&inputs.bucket, &inputs.key, etag, None);
    let columns = inputs.file.iter().map(|[name, mode, kind]| schema::column(name, mode, kind)).collect();
    let footer = Footer { row_count: inputs.rows, columns };
    let table = inputs.table.as_ref().map(|columns| schema::table(columns));
    let plan = Plan {
        object: &object,
        size_bytes: inputs.size_bytes,
        footer: &footer,
        key: &key,
        route: &route,
        table: table.as_ref(),
    };
    let mut planned = match plan.job(inputs.attempt) {
        Ok(planned) => planned,
        Err(error) => return Ok(json!({ "error": error.code(), "remedy": error.remedy().to_string() })),
    };
    let whole_object = Part::Range { object, offset_bytes: 0, length_bytes: inputs.size_bytes };
    assert_eq!(planned.parts, [whole_object], "the body is the object as it lies");
    let reference = &planned.resource["jobReference"];
    assert_eq!(reference["jobId"], planned.job.id.as_str());
    assert_eq!(reference["location"], planned.job.location.as_str());
    assert_eq!(reference["projectId"], planned.job.project.as_str());
    // The one thing in a request that another release changes.
    let version = planned.resource["configuration"]["labels"]["version"].take();
    assert_eq!(version, env!("CARGO_PKG_VERSION").replace('.', "-"));
    planned.resource["configuration"]["labels"]["version"] = json!("…");
    Ok(planned.resource)
}
