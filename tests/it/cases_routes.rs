//! `tests/cases/routes`: where tables go.
//!
//! Each folder holds mappings and `routes.txt`, a table whose lines are an object's place, the schema
//! and table that its key means, and what the mappings say of it. To add a line, write `?` for what they
//! say and run the tests with `UPDATE_CASES=1`; then read what was written, and whether it is right.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use dms2bq::entry::mapping_files::read_local;
use dms2bq::key::{DmsFile, DmsKey};
use dms2bq::route::{Decision, Landing, Mappings, Route, TableOptions};

use crate::cases;

fn load(case: &Path) -> Mappings {
    let mut files = read_local(case).expect("the case's mappings can be read");
    for file in &mut files {
        file.name = file.name.rsplit('/').next().expect("a path ends with a name").to_owned();
    }
    Mappings::parse(files).unwrap_or_else(|problems| panic!("{}: {problems}", case.display()))
}

fn key_of(landing: &Landing, schema: &str, table: &str) -> DmsKey {
    DmsKey {
        bucket_folder: landing.layout().bucket_folder.clone(),
        schema: schema.to_owned(),
        table: table.to_owned(),
        file: DmsFile::FullLoad { stem: "LOAD00000001".to_owned(), sequence: 1 },
        date_partition: None,
        segment: None,
    }
}

/// What the mappings say of one line, as the case's file spells it.
fn answer(mappings: &Mappings, address: &str, schema: &str, table: &str) -> String {
    let path = address.strip_prefix("s3://").expect("the first column is an s3:// address");
    let (bucket, folder) = path.split_once('/').expect("the address has a slash after the bucket");
    let object_key = format!("{folder}{schema}/{table}/LOAD00000001.parquet");
    let landing = match mappings.landing(bucket, &object_key) {
        Ok(landing) => landing,
        Err(error) => return format!("{}: {error}; {}", error.code(), error.remedy()),
    };
    match landing.resolve(&key_of(landing, schema, table)) {
        Ok(Decision::Load(route)) => loaded(landing, schema, table, &route),
        Ok(Decision::Exclude { rule }) => format!("exclude by {rule} of {}", landing.mapping_name()),
        Err(error) => {
            format!("{}: {error}; {}", error.code(), error.remedy())
        }
    }
}

fn loaded(landing: &Landing, schema: &str, table: &str, route: &Route) -> String {
    let rule = landing.rule_for(schema, table).expect("what is loaded has a rule");
    let options = spelled(&route.options);
    format!("{} in {} by {rule} of {}{options}", route.destination, route.location, route.mapping)
}

/// The options that are not those of a table of which nobody said anything.
fn spelled(options: &TableOptions) -> String {
    let mut text = String::new();
    let mut say = |what: std::fmt::Arguments<'_>| {
        write!(text, ", {what}").expect("a string takes every character");
    };
    if options.partition != TableOptions::default().partition {
        match &options.partition {
            None => say(format_args!("no partitions")),
            Some(partition) => {
                let by = partition.column.as_deref().unwrap_or("time of loading");
                say(format_args!("by {} of {by}", partition.unit.as_str()));
            }
        }
    }
    if !options.cluster_by.is_empty() {
        say(format_args!("clustered by {}", options.cluster_by.join("+")));
    }
    for (name, kind) in &options.columns {
        say(format_args!("{name} as {kind}"));
    }
    if let Some(key) = &options.kms_key {
        say(format_args!("key {key}"));
    }
    if options.generation > 0 {
        say(format_args!("generation {}", options.generation));
    }
    text
}

/// The case's table with what the mappings say now, and how many lines were asked.
fn answered(mappings: &Mappings, table: &str) -> (String, usize) {
    let (mut text, mut asked) = (String::new(), 0);
    for line in table.lines() {
        if line.is_empty() || line.starts_with('#') {
            writeln!(text, "{line}").expect("a string takes every character");
            continue;
        }
        let columns: Vec<&str> = line.splitn(4, '|').map(str::trim).collect();
        let [address, schema, table, _] = columns.as_slice() else { panic!("not four columns: {line}") };
        let got = answer(mappings, address, schema, table);
        writeln!(text, "{address} | {schema} | {table} | {got}").expect("a string takes every character");
        asked += 1;
    }
    (text, asked)
}

#[test]
fn each_table_goes_where_its_case_says() {
    #[expect(clippy::disallowed_methods, reason = "how somebody who adds a case asks for its answers")]
    let update = std::env::var_os("UPDATE_CASES").is_some();
    for case in cases::folders("routes") {
        let file = case.join("routes.txt");
        let table = fs::read_to_string(&file).expect("each case has a routes.txt");
        let (now, asked) = answered(&load(&case), &table);
        assert!(asked > 0, "{} asks for nothing", file.display());
        if update {
            fs::write(&file, &now).expect("the case's file can be written");
            continue;
        }
        let differing: Vec<&str> =
            now.lines().filter(|line| !table.lines().any(|wanted| wanted == *line)).collect();
        assert!(now == table, "{}; now:\n{}", file.display(), differing.join("\n"));
    }
}
