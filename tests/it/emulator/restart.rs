//! Stopping, dying and starting again on the same folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dms2bq::emulator::{EmulatorError, Options, start};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::parquet;
use super::server::{Client, TestClock, job, quick, serve};

#[tokio::test]
async fn jobs_tables_and_rows_are_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || Options { data_dir: Some(folder.path().to_path_buf()), ..quick() };
    let (running, client) = serve(options()).await;
    let done = client.load("before", "Größe", &parquet::ids(0..3)).await;
    let failed = client.load("bad", "Größe", b"no parquet").await;
    let table = client.table("Größe").await;
    running.shutdown().await;

    let (running, client) = serve(options()).await;
    let without_link = |mut job: Value| {
        job["selfLink"] = Value::Null;
        job
    };
    assert_eq!(without_link(client.wait("before").await), without_link(done));
    assert_eq!(without_link(client.wait("bad").await), without_link(failed));
    assert_eq!(without_link(client.table("Größe").await), without_link(table));
    assert_eq!(client.insert(&job("before", "t", &json!({})), &parquet::ids(0..1)).await.0, 409);
    running.shutdown().await;
}

#[tokio::test]
async fn a_job_that_was_running_runs_again_and_a_session_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let held = Options { data_dir: Some(folder.path().to_path_buf()), clock: TestClock::held(), ..quick() };
    let (running, client) = serve(held).await;
    client.insert(&job("waiting", "t", &json!({})), &parquet::ids(0..3)).await;
    let start_session =
        client.http.post(client.upload_url("resumable")).json(&job("session", "t", &json!({})));
    let location = start_session.send().await.expect("an answer").headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    running.shutdown().await;

    let (running, client) = serve(Options { data_dir: Some(folder.path().to_path_buf()), ..quick() }).await;
    assert_eq!(client.wait("waiting").await["statistics"]["load"]["outputRows"], "3");
    let path = location.split_once("/upload").map(|(_, path)| path).expect("a path");
    let session = format!("{}/upload{path}", client.base_url);
    let answer = client.http.put(session).body(parquet::ids(0..2)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    client.wait("session").await;
    assert_eq!(client.row_count("t").await, 5);
    running.shutdown().await;
}

#[tokio::test]
async fn a_folder_has_one_server_and_must_be_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || Options { data_dir: Some(folder.path().to_path_buf()), ..quick() };
    let (running, _client) = serve(options()).await;
    let second = start(options()).await.err().expect("a refusal");
    assert_eq!(second.code(), "emulator.folder_in_use");
    running.shutdown().await;

    let foreign = tempfile::tempdir().expect("a folder");
    std::fs::write(foreign.path().join("thesis.tex"), "precious").expect("a file");
    let refused = start(Options { data_dir: Some(foreign.path().to_path_buf()), ..quick() }).await.err();
    assert!(matches!(refused, Some(EmulatorError::ForeignFolder { .. })));
    assert!(foreign.path().join("thesis.tex").exists());
}

/// Changes a JSON file of the folder, as a crash would have left it.
fn doctor(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    change(&mut value);
    std::fs::write(path, value.to_string()).expect("a file that can be written");
}

fn only(folder: &Path, suffix: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(suffix)).collect();
    assert_eq!(found.len(), 1, "{suffix} in {}", folder.display());
    found.remove(0)
}

#[tokio::test]
async fn whichever_step_of_a_load_was_the_last_before_the_end_its_rows_are_in_once() {
    for last_step in ["made", "moved", "committed", "recorded"] {
        let folder = tempfile::tempdir().expect("a folder");
        let options = || Options { data_dir: Some(folder.path().to_path_buf()), ..quick() };
        let (running, client) = serve(options()).await;
        client.load("first", "t", &parquet::ids(0..2)).await;
        running.shutdown().await;
        let table = folder.path().join("tables/proj/ds/t");
        let before = std::fs::read(table.join("table.json")).expect("the table as it was");
        let record = only(&folder.path().join("jobs"), ".json");
        let first = std::fs::read(&record).expect("the first job");
        std::fs::remove_file(&record).expect("out of the way");

        let (running, client) = serve(options()).await;
        client.load("second", "t", &parquet::ids(2..5)).await;
        running.shutdown().await;
        let second = only(&folder.path().join("jobs"), ".json");
        std::fs::write(&record, first).expect("the first job again");
        if last_step != "recorded" {
            doctor(&second, |job| job["end"] = Value::Null);
        }
        if last_step == "made" || last_step == "moved" {
            std::fs::write(table.join("table.json"), before).expect("the table as it was");
        }
        if last_step == "made" {
            let job: Value =
                serde_json::from_slice(&std::fs::read(&second).expect("a record")).expect("JSON");
            let upload = format!("uploads/{}.part", job["upload"].as_str().expect("a name"));
            std::fs::rename(only(&table, &part_suffix(&second)), folder.path().join(upload))
                .expect("moved back");
        }
        std::fs::write(folder.path().join("uploads/nobody.part"), "left behind").expect("an orphan");

        let (running, client) = serve(options()).await;
        let job = client.wait("second").await;
        assert_eq!(job["statistics"]["load"]["outputRows"], "3", "{last_step}");
        assert_eq!(client.row_count("t").await, 5, "{last_step}");
        let ids: Vec<Value> = client.rows("t", "").await.into_iter().flatten().collect();
        assert_eq!(ids, ["0", "1", "2", "3", "4"], "{last_step}");
        assert!(!folder.path().join("uploads/nobody.part").exists());
        running.shutdown().await;
    }
}

/// A part has its job's name.
fn part_suffix(record: &Path) -> String {
    format!("{}.parquet", record.file_stem().expect("a name").to_string_lossy())
}

/// The real program on a folder; killed without a warning when dropped.
struct Process {
    child: Child,
    client: Client,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dms2bq"))
            .args(["emulator", "--dataset", "proj.ds@EU", "--data"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut url).expect("its URL");
        Self { child, client: Client::new(url.trim()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_leaves_every_job_all_or_nothing() {
    const JOBS: usize = 60;
    const ROWS_EACH: i64 = 10;
    let folder = tempfile::tempdir().expect("a folder");
    let file = parquet::ids(0..ROWS_EACH);
    let (mut next, mut made) = (0, Vec::new());
    // Each life ends when some jobs were answered, and at least one more is under way.
    for life in 1.. {
        let process = Process::start(folder.path());
        let sent = (next..JOBS).map(|place| send(process.client.clone(), place, file.clone()));
        let mut answers =
            futures_util::stream::FuturesUnordered::from_iter(sent.take(3 + life % 5).map(tokio::spawn));
        for _ in 0..=life % 4 {
            if let Some(Ok(Some(place))) = answers.next().await {
                made.push(place);
            }
        }
        // Once one is done, its neighbours are in the middle of their commits.
        if let Some(place) = made.last() {
            process.client.wait(&format!("kill{place}")).await;
        }
        next = (next + 3 + life % 5).min(JOBS);
        drop(process);
        if next == JOBS {
            break;
        }
    }
    let process = Process::start(folder.path());
    let mut done = 0;
    for place in 0..JOBS {
        let id = format!("kill{place}");
        if process.client.get(&format!("/jobs/{id}?location=EU")).await.0 == 404 {
            assert!(!made.contains(&place), "{id} was answered and is gone");
            continue;
        }
        let job = process.client.wait(&id).await;
        // Tables of a few rows change often here: a rate limit is an honest end, too.
        if job["status"].get("errorResult").is_none() {
            done += 1;
        }
    }
    let mut rows = 0;
    for table in ["even", "odd"] {
        rows += process.client.row_count(table).await;
    }
    assert_eq!(rows, done * u64::try_from(ROWS_EACH).expect("a small number"), "every row once");
    assert!(made.len() > JOBS / 8, "only {} jobs were answered", made.len());
}

/// Sends a job; gives its place if it was answered with success.
async fn send(client: Client, place: usize, file: Vec<u8>) -> Option<usize> {
    let table = if place.is_multiple_of(2) { "even" } else { "odd" };
    let resource = job(&format!("kill{place}"), table, &json!({ "timePartitioning": { "type": "DAY" } }));
    let mut body = format!("--b\r\n\r\n{resource}\r\n--b\r\n\r\n").into_bytes();
    body.extend_from_slice(&file);
    body.extend_from_slice(b"\r\n--b--");
    let request = client.http.post(client.upload_url("multipart"));
    let request = request.header("content-type", "multipart/related; boundary=b").body(body);
    let answer = request.send().await.ok()?;
    answer.status().is_success().then_some(place)
}
