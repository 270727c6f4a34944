//! `dms2bq local`, as a user runs it: the real program in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const DMS2BQ: &str = env!("CARGO_BIN_EXE_dms2bq");

/// The line that a good run ends with.
const GOOD: &str = "Everything that should load did.";

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

/// The program in `home`, with an environment that it must not look at.
fn local(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(DMS2BQ);
    command.arg("local").args(args).current_dir(home).stdin(Stdio::null());
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/credentials.json"),
        ("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:9"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
    ] {
        command.env(name, value);
    }
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the report is UTF-8")
}

/// The counts of a report's table: files, rows in the files, rows in the table.
fn counts(report: &str) -> Vec<(String, [u64; 3])> {
    let lines = report.lines().filter(|line| line.trim_start().starts_with("acme-dw."));
    lines.map(count_line).collect()
}

fn count_line(line: &str) -> (String, [u64; 3]) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).take(3).collect();
    let name = words.iter().take_while(|word| word.parse::<u64>().is_err()).copied().collect::<Vec<_>>();
    (name.join(" "), numbers.try_into().unwrap_or_else(|_| panic!("three counts in {line:?}")))
}

#[test]
fn the_samples_load_once_and_a_second_run_loads_nothing_and_says_why() {
    let home = tempfile::tempdir().unwrap();
    let dir = samples();
    let dir = dir.to_str().unwrap();

    let first = local(home.path(), &[dir]).output().unwrap();
    let report = stdout(&first);
    assert!(first.status.success(), "{report}\n{}", String::from_utf8_lossy(&first.stderr));
    assert!(report.contains("files loaded, each once.") && report.contains(GOOD), "{report}");
    let tables = counts(&report);
    assert!(tables.len() >= 6, "{report}");
    for (table, [files, rows_in_files, rows_in_table]) in &tables {
        assert!(*files > 0 && rows_in_files == rows_in_table, "{table}: {report}");
    }
    for code in ["event.test", "key.control_table", "key.transaction_file", "key.not_dms", "object.truncated"]
    {
        assert!(report.contains(code), "{code} is told: {report}");
    }

    let second = local(home.path(), &[dir]).output().unwrap();
    let again = stdout(&second);
    assert!(second.status.success(), "{again}");
    assert!(again.contains("Nothing was loaded") && again.contains("refused to load them again"), "{again}");
    assert_eq!(counts(&again), tables, "the second run changes nothing");

    let fresh = local(home.path(), &[dir, "--fresh"]).output().unwrap();
    assert!(stdout(&fresh).contains("files loaded, each once."), "--fresh starts anew");
}

#[test]
fn a_run_that_is_killed_in_the_middle_is_made_good_by_the_next() {
    let home = tempfile::tempdir().unwrap();
    let dir = samples();
    let dir = dir.to_str().unwrap();
    let warehouse = home.path().join(".dms2bq/samples");

    // Killed as soon as the embedded BigQuery has made its first tables: nothing is settled then.
    let mut first = local(home.path(), &[dir]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = std::time::Instant::now();
    while data_files(&warehouse) < 3 {
        assert!(started.elapsed().as_secs() < 60, "the run makes tables");
        assert!(first.try_wait().unwrap().is_none(), "the run was killed in its middle, not after its end");
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();

    let second = local(home.path(), &[dir]).output().unwrap();
    let report = stdout(&second);
    assert!(second.status.success() && report.contains(GOOD), "{report}");
    for (table, [_, rows_in_files, rows_in_table]) in counts(&report) {
        assert_eq!(rows_in_files, rows_in_table, "{table}: {report}");
    }
}

fn data_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: PathBuf| match path.is_dir() {
        true => data_files(&path),
        false => usize::from(path.extension().is_some_and(|extension| extension == "parquet")),
    };
    entries.flatten().map(|entry| count(entry.path())).sum()
}

#[test]
fn a_folder_of_ones_own_is_the_bucket_and_a_file_that_cannot_load_fails_the_run() {
    let home = tempfile::tempdir().unwrap();
    let bucket = home.path().join("landing");
    let table = bucket.join("dms/casino-a/game/player");
    std::fs::create_dir_all(&table).unwrap();
    let real = samples().join("acme-landing/dms/casino-a/game/player/LOAD00000001.parquet");
    std::fs::copy(&real, table.join("LOAD00000001.parquet")).unwrap();
    std::fs::create_dir_all(bucket.join("mappings")).unwrap();
    let mapping = bucket.join("mappings/mine.json");
    let write = |destination_table: &str| {
        let text = format!(
            r#"{{ "source": {{ "bucket": "mine", "bucket_folder": "dms/casino-a" }},
                  "destination": {{ "project": "acme-dw", "location": "EU", "dataset": "mine" }},
                  "tables": [ {{ "schema": "game", "table": "player", "destination": {{ "table": "{destination_table}" }} }} ] }}"#
        );
        std::fs::write(&mapping, text).unwrap();
    };

    write("player");
    let good = local(home.path(), &["landing"]).output().unwrap();
    assert!(good.status.success(), "{}{}", stdout(&good), String::from_utf8_lossy(&good.stderr));
    let tables = counts(&stdout(&good));
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0].0, "acme-dw.mine.player");

    std::fs::write(table.join("LOAD00000002.parquet"), "no Parquet").unwrap();
    let damaged = local(home.path(), &["landing"]).output().unwrap();
    let report = stdout(&damaged);
    assert_eq!(damaged.status.code(), Some(1), "a file that came back unasked is a failure: {report}");
    assert!(report.contains("object.not_parquet") && report.contains("1 file came back"), "{report}");

    write("pla\\nyer");
    let bad = local(home.path(), &["landing"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2), "{}", stdout(&bad));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("mine.json"), "the mapping's file is named");

    let missing = local(home.path(), &["nowhere"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere"));
}
