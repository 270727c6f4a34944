//! The golden job ids of `tests/cases/job_ids`.

use dms2bq::job::id::{Identity, JobId};
use dms2bq::key::{self, KeyMeaning, Layout};
use dms2bq::object::{ETag, Object};
use dms2bq::route::{Route, TableOptions, TableRef};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    bucket: String,
    key: String,
    bucket_folder: String,
    etag: String,
    destination: String,
    #[serde(default)]
    generation: u64,
    attempt: u32,
    id: String,
    label: String,
}

fn route(destination: &str, generation: u64) -> Route {
    let mut parts = destination.splitn(3, '.').map(str::to_owned);
    let mut next = || parts.next().expect("a destination has three parts");
    Route {
        mapping: "test".to_owned(),
        destination: TableRef { project: next(), dataset: next(), table: next() },
        location: "EU".to_owned(),
        options: TableOptions { generation, ..TableOptions::default() },
    }
}

#[test]
fn job_ids_are_frozen() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../cases/job_ids/frozen.json")).expect("the cases are JSON");
    assert!(cases.len() >= 10, "the frozen cases are all there");
    for case in cases {
        let layout = Layout { bucket_folder: case.bucket_folder, ..Layout::default() };
        let KeyMeaning::Data(key) = key::parse(&case.key, &layout).expect(&case.name) else {
            panic!("{}: the key is a data file's", case.name);
        };
        let etag = ETag::parse(&case.etag).expect("an etag");
        let object = Object::new(case.bucket, case.key, etag, None);
        let route = route(&case.destination, case.generation);
        assert_eq!(JobId::new(&object, &key, &route, case.attempt).as_str(), case.id, "{}", case.name);
        assert_eq!(Identity::of(&object, &route).label(), case.label, "{}", case.name);
        assert!(case.id.len() <= 1024, "{}: BigQuery takes 1,024 characters", case.name);
    }
}
