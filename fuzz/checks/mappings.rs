//! Mapping files, and what is resolved by them.

use dms2bq::key::{self, KeyMeaning};
use dms2bq::route::names::{
    check_bucket, check_column, check_dataset, check_folder, check_location, check_project, check_table,
};
use dms2bq::route::{Decision, Landing, MappingFile, Mappings, Route};

/// What stands between two files in one input.
const BETWEEN_FILES: &str = "\n---\n";

/// Schemas and tables that a forged key may name.
const NAMES: [&str; 12] = [
    "game",
    "player",
    "tmp_1",
    "a.b",
    "acme-other.secret.rows",
    "a`b",
    "a:b",
    "a;DROP TABLE b",
    "..",
    "a\u{202e}b\r\n",
    "{schema}",
    "가계부",
];

/// Reads mapping files. With problems each is told with its place; without any, nothing that a key can name leads
/// anywhere but into a dataset that the mapping wrote down.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files: Vec<MappingFile> = text
        .split(BETWEEN_FILES)
        .enumerate()
        .map(|(index, text)| MappingFile { name: format!("mappings/{index}.json"), text: text.to_owned() })
        .collect();
    match Mappings::parse(files.clone()) {
        Err(problems) => {
            assert!(problems.iter().len() > 0, "refused without a problem");
            super::hold_refusal(&problems.to_string(), problems.code(), &["mapping"], problems.remedy());
            for problem in problems.iter() {
                assert!(problem.path().starts_with('$'), "{} is no path", problem.path());
                super::hold_refusal(
                    &problem.to_string(),
                    problem.code(),
                    &["mapping", "route"],
                    &problem.remedy(),
                );
            }
        }
        Ok(mappings) => {
            mappings.landings().iter().for_each(|landing| hold_landing(&mappings, landing));
            for warning in mappings.warnings() {
                super::hold_refusal(
                    &warning.to_string(),
                    warning.code(),
                    &["mapping", "route"],
                    &warning.remedy(),
                );
            }
            hold_no_prefix_twice(files);
        }
    }
}

/// Two mappings of one prefix would both claim its objects.
fn hold_no_prefix_twice(files: Vec<MappingFile>) {
    let again = files.iter().map(|file| MappingFile { name: format!("again/{}", file.name), ..file.clone() });
    let twice: Vec<MappingFile> = files.iter().cloned().chain(again).collect();
    let problems = Mappings::parse(twice).expect_err("every prefix is claimed twice");
    assert!(problems.iter().all(|problem| problem.code() == "mapping.duplicate_landing"), "{problems}");
}

fn hold_landing(mappings: &Mappings, landing: &Landing) {
    let folder = &landing.layout().bucket_folder;
    assert_eq!(check_bucket(landing.bucket()), Ok(()));
    assert!(folder.is_empty() || check_folder(folder).is_ok(), "{folder:?}");
    let keys = NAMES.iter().flat_map(|schema| NAMES.iter().map(move |table| (schema, table)));
    for (schema, table) in keys {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let key = format!("{folder}{schema}/{table}/LOAD00000001.parquet");
        // A mapping of a deeper folder may have it.
        let holder = mappings.landing(landing.bucket(), &key).expect("this prefix holds it");
        assert_eq!(holder.bucket(), landing.bucket());
        assert!(key.starts_with(&holder.layout().bucket_folder), "{key} is not below {}", holder.address());
        hold_outside(mappings, landing, &key);
        hold_resolution(holder, &key);
    }
}

/// A folder that only begins like the mapped one is another folder, and another bucket's is nobody's.
fn hold_outside(mappings: &Mappings, landing: &Landing, key: &str) {
    let folder = &landing.layout().bucket_folder;
    if let (false, Some(below)) = (folder.is_empty(), key.strip_prefix(folder.as_str())) {
        let holder = mappings.landing(landing.bucket(), &format!("{folder}2{below}"));
        assert_ne!(holder.map(Landing::address), Ok(landing.address()), "a look-alike of {folder}");
    }
    let elsewhere = mappings.landing(&format!("{}/..", landing.bucket()), key);
    assert!(elsewhere.is_err(), "a bucket that has no such name");
}

fn hold_resolution(landing: &Landing, key: &str) {
    let Ok(KeyMeaning::Data(key)) = key::parse(key, landing.layout()) else { return };
    match landing.resolve(&key) {
        Ok(Decision::Load(route)) => hold_route(landing, &route),
        Ok(Decision::Exclude { .. }) => {}
        Err(error) => super::hold_refusal(&super::chain(&error), error.code(), &["route"], &error.remedy()),
    }
}

/// A route leads into a project that the mapping names, and none of its names can mean anything but a name.
fn hold_route(landing: &Landing, route: &Route) {
    let destination = &route.destination;
    let projects: Vec<String> = landing.datasets().into_iter().map(|(dataset, _)| dataset).collect();
    assert!(
        projects.iter().any(|dataset| dataset.starts_with(&format!("{}.", destination.project))),
        "{destination} is in none of {projects:?}"
    );
    assert_eq!(check_project(&destination.project), Ok(()));
    assert_eq!(check_dataset(&destination.dataset), Ok(()));
    assert_eq!(check_table(&destination.table), Ok(()));
    assert_eq!(check_location(&route.location), Ok(()));
    let meaningful = |c: char| c.is_control() || "/\\.:;`'\"?#%$@*".contains(c);
    assert!(!destination.table.contains(meaningful), "{destination}");
    let options = &route.options;
    let partition = options.partition.iter().filter_map(|partition| partition.column.as_ref());
    for column in options.cluster_by.iter().chain(options.columns.keys()).chain(partition) {
        assert_eq!(check_column(column), Ok(()));
    }
}
