//! The contract of [`Warehouse`], for whoever implements it.
//!
//! A clause is a function, and its name is the clause. [`examine`] holds a party to all of them. To examine one more
//! implementation, implement [`Party`] for it and call [`examine`].

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::memory::objects::MemoryObjects;
use dms2bq::cloud::{
    CallError, Clock, Deadline, InsertError, Inserted, Objects, ObjectsError, TableLookup, Warehouse,
};
use dms2bq::job::{ColumnMode, JobFailure, JobRecord, JobRef, JobState, LoadJob, Part, TableInfo};
use dms2bq::object::Object;
use dms2bq::route::TableRef;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

/// Where a party's jobs and tables are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) location: String,
    pub(super) dataset: String,
    /// What every job id and table name ends with, so that one run does not meet the jobs of another.
    pub(super) suffix: String,
    /// A project in which there is no job of ours, and where we may look for one.
    pub(super) other_project: Option<String>,
}

impl Place {
    /// The place of what starts empty.
    pub(super) fn made_up() -> Self {
        Self {
            project: "acme-dw".to_owned(),
            location: "asia-northeast3".to_owned(),
            dataset: "casino_a".to_owned(),
            suffix: String::new(),
            other_project: Some("other-project".to_owned()),
        }
    }

    /// A location in which there is no dataset of ours.
    fn elsewhere(&self) -> String {
        let other = if self.location.eq_ignore_ascii_case("EU") { "US" } else { "EU" };
        other.to_owned()
    }
}

/// An implementation of [`Warehouse`], and the few things that the trait itself does not do.
#[async_trait]
pub(super) trait Party: Send + Sync {
    /// What is examined.
    fn warehouse(&self) -> &dyn Warehouse;
    /// Where its jobs and tables are to be.
    fn place(&self) -> Place;
    /// Makes the place's dataset, unless it is there.
    async fn create_dataset(&self, place: &Place);
    /// The rows that a table holds.
    async fn row_count(&self, table: &TableRef) -> u64;
}

/// Holds a party to every clause.
pub(super) async fn examine(party: &dyn Party) {
    let bench = Bench::new(party).await;
    an_unknown_job_is_none(&bench).await;
    a_job_is_known_in_its_own_location_only(&bench).await;
    a_load_brings_all_rows_and_keeps_its_record(&bench).await;
    a_taken_id_is_told_and_nothing_is_loaded_again(&bench).await;
    a_settled_job_never_changes(&bench).await;
    a_corrupt_file_fails_for_good_and_keeps_its_reason_and_its_id(&bench).await;
    what_does_not_begin_as_parquet_makes_no_job(&bench).await;
    a_missing_or_replaced_object_makes_no_job(&bench).await;
    a_missing_dataset_is_told_from_a_missing_table(&bench).await;
    a_load_into_a_missing_dataset_brings_nothing(&bench).await;
    a_dataset_is_found_in_its_own_location_only(&bench).await;
    a_large_object_arrives_whole(&bench).await;
    parts_follow_each_other(&bench).await;
    a_partitioned_table_is_told_as_such(&bench).await;
    a_new_column_is_added_and_a_new_required_one_is_refused(&bench).await;
    a_column_whose_type_changed_is_refused(&bench).await;
    loads_at_the_same_time_each_bring_their_rows(&bench).await;
    nothing_is_begun_after_the_deadline(&bench).await;
}

async fn an_unknown_job_is_none(bench: &Bench<'_>) {
    assert_eq!(bench.get(&bench.job_ref("unknown_0")).await, None);
}

async fn a_job_is_known_in_its_own_location_only(bench: &Bench<'_>) {
    let load = bench.load("located_0", "located", file(&ids(0..3)));
    bench.finish(&load).await;
    let elsewhere = JobRef { location: bench.place.elsewhere(), ..load.job.clone() };
    assert_eq!(bench.get(&elsewhere).await, None);
    if let Some(project) = bench.place.other_project.clone() {
        assert_eq!(bench.get(&JobRef { project, ..load.job }).await, None);
    }
}

async fn a_load_brings_all_rows_and_keeps_its_record(bench: &Bench<'_>) {
    let load = bench.load("whole_0", "whole", file(&ids(0..1000)));
    let Ok(Inserted::Created(made)) = bench.insert(&load).await else { panic!("the id is free") };
    assert_eq!(made.id, load.job.id);
    let record = bench.settled(&load.job).await;
    assert_eq!(record.state, JobState::Succeeded);
    assert_eq!(record.output_rows, Some(1000));
    assert_eq!(record.destination, Some(bench.table_ref("whole")));
    assert_eq!(record.labels.get("object").map(String::as_str), Some("0123456789abcdef"));
    assert_eq!(bench.party.row_count(&bench.table_ref("whole")).await, 1000);

    let info = bench.table("whole").await;
    let names: Vec<&str> = info.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "name"]);
    assert_eq!((info.columns[0].kind.as_str(), info.columns[0].mode), ("INTEGER", ColumnMode::Required));
    assert_eq!((info.columns[1].kind.as_str(), info.columns[1].mode), ("STRING", ColumnMode::Nullable));
    let (created_ms, ended_ms) = (record.created_ms.expect("a time"), record.ended_ms.expect("a time"));
    assert!(created_ms <= ended_ms);
    assert!(info.created_ms <= ended_ms, "a table is not younger than the end of the job that made it");
}

async fn a_taken_id_is_told_and_nothing_is_loaded_again(bench: &Bench<'_>) {
    let load = bench.load("taken_0", "taken", file(&ids(0..10)));
    bench.finish(&load).await;
    assert_eq!(bench.insert(&load).await.expect("an answer"), Inserted::Exists);
    let other = bench.load("taken_0", "taken_otherwise", large_file());
    assert_eq!(bench.insert(&other).await.expect("an answer"), Inserted::Exists);
    assert_eq!(bench.party.row_count(&bench.table_ref("taken")).await, 10);
    assert_eq!(bench.lookup("taken_otherwise").await, TableLookup::NoTable);
}

async fn a_settled_job_never_changes(bench: &Bench<'_>) {
    let load = bench.load("settled_0", "settled", file(&ids(0..5)));
    let before = bench.finish(&load).await;
    bench.finish(&bench.load("settled_1", "settled", file(&ids(5..9)))).await;
    assert_eq!(bench.insert(&load).await.expect("an answer"), Inserted::Exists);
    assert_eq!(bench.get(&load.job).await, Some(before));
}

async fn a_corrupt_file_fails_for_good_and_keeps_its_reason_and_its_id(bench: &Bench<'_>) {
    let mut corrupt = file(&ids(0..100)).to_vec();
    let length = corrupt.len();
    corrupt[length - 8..].fill(b'x');
    let load = bench.load("corrupt_0", "corrupt", corrupt.into());
    let record = bench.finish(&load).await;
    let JobState::Failed(JobFailure { reason, message, .. }) = &record.state else { panic!("{record:?}") };
    assert_eq!(reason, "invalid");
    assert!(!message.is_empty());
    assert_eq!(bench.insert(&load).await.expect("an answer"), Inserted::Exists, "a failed id is burnt");
    assert_eq!(bench.get(&load.job).await, Some(record));
    assert_eq!(bench.lookup("corrupt").await, TableLookup::NoTable, "a failed job leaves nothing");
}

async fn what_does_not_begin_as_parquet_makes_no_job(bench: &Bench<'_>) {
    let load = bench.load("text_0", "text", Bytes::from_static(b"id,name\n1,a\n"));
    let error = bench.insert(&load).await.expect_err("not Parquet");
    assert!(matches!(error, InsertError::NotParquet), "{error:?}");
    assert!(!error.may_have_happened());
    assert_eq!(bench.get(&load.job).await, None);
}

async fn a_missing_or_replaced_object_makes_no_job(bench: &Bench<'_>) {
    let load = bench.load("replaced_0", "replaced", file(&ids(0..100)));
    bench.objects.put("landing", "replaced_0", file(&ids(0..200)));
    let error = bench.insert(&load).await.expect_err("another object");
    assert!(matches!(error, InsertError::Object(ObjectsError::Replaced)), "{error:?}");
    bench.objects.delete("landing", "replaced_0");
    let error = bench.insert(&load).await.expect_err("no object");
    assert!(matches!(error, InsertError::Object(ObjectsError::Missing)), "{error:?}");
    assert_eq!(bench.get(&load.job).await, None);
    assert_eq!(bench.lookup("replaced").await, TableLookup::NoTable);
}

async fn a_missing_dataset_is_told_from_a_missing_table(bench: &Bench<'_>) {
    assert_eq!(bench.lookup("nothing_here").await, TableLookup::NoTable);
    let nowhere = TableRef { dataset: "no_such_dataset".to_owned(), ..bench.table_ref("nothing_here") };
    let lookup = bench.party.warehouse().get_table(&nowhere, ample()).await.expect("an answer");
    assert_eq!(lookup, TableLookup::NoDataset);
}

async fn a_load_into_a_missing_dataset_brings_nothing(bench: &Bench<'_>) {
    let mut load = bench.load("nowhere_0", "nowhere", file(&ids(0..3)));
    load.resource["configuration"]["load"]["destinationTable"]["datasetId"] = json!("no_such_dataset");
    bench.assert_not_found(&load).await;
}

async fn a_dataset_is_found_in_its_own_location_only(bench: &Bench<'_>) {
    let mut load = bench.load("elsewhere_0", "elsewhere", file(&ids(0..3)));
    load.job.location = bench.place.elsewhere();
    load.resource["jobReference"]["location"] = json!(load.job.location);
    bench.assert_not_found(&load).await;
}

async fn a_large_object_arrives_whole(bench: &Bench<'_>) {
    let load = bench.load("large_0", "large", large_file());
    let record = bench.finish(&load).await;
    assert_eq!(record.state, JobState::Succeeded);
    assert_eq!(record.output_rows, Some(LARGE_ROWS as u64));
}

async fn parts_follow_each_other(bench: &Bench<'_>) {
    for (name, bytes) in [("parts_small_0", file(&ids(0..500))), ("parts_large_0", large_file())] {
        let mut load = bench.load(name, "parts", bytes.clone());
        let Some(Part::Range { object, .. }) = load.parts.pop() else { panic!("one part") };
        let range = |start: usize, end: usize| Part::Range {
            object: object.clone(),
            offset_bytes: start as u64,
            length_bytes: (end - start) as u64,
        };
        let own = |start: usize, end: usize| Part::Bytes(bytes.slice(start..end));
        let (third, half, end) = (bytes.len() / 3, bytes.len() / 2, bytes.len());
        load.parts = vec![own(0, 2), range(2, third), own(third, third), own(third, half), range(half, end)];
        assert_eq!(load.content_length_bytes(), bytes.len() as u64);
        assert_eq!(bench.finish(&load).await.state, JobState::Succeeded, "{name}");
    }
    assert_eq!(bench.party.row_count(&bench.table_ref("parts")).await, 500 + LARGE_ROWS as u64);
}

async fn a_partitioned_table_is_told_as_such(bench: &Bench<'_>) {
    let mut load = bench.load("by_day_0", "by_day", file(&ids(0..3)));
    load.resource["configuration"]["load"]["timePartitioning"] = json!({"type": "DAY"});
    bench.finish(&load).await;
    assert!(bench.table("by_day").await.partitioned);
    bench.finish(&bench.load("by_nothing_0", "by_nothing", file(&ids(0..3)))).await;
    assert!(!bench.table("by_nothing").await.partitioned);
}

async fn a_new_column_is_added_and_a_new_required_one_is_refused(bench: &Bench<'_>) {
    bench.finish(&bench.load("wider_0", "wider", file(&ids(0..3)))).await;
    let wider = |nullable| {
        let extra: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let mut columns = ids(3..5);
        columns.push((Field::new("extra", DataType::Int64, nullable), extra));
        file(&columns)
    };
    let refused = bench.finish(&bench.load("wider_1", "wider", wider(false))).await;
    assert!(
        matches!(refused.state, JobState::Failed(JobFailure { ref reason, .. }) if reason == "invalid"),
        "{refused:?}"
    );
    assert_eq!(bench.party.row_count(&bench.table_ref("wider")).await, 3);
    let added = bench.finish(&bench.load("wider_2", "wider", wider(true))).await;
    assert_eq!(added.state, JobState::Succeeded);
    let info = bench.table("wider").await;
    assert_eq!((info.columns[2].name.as_str(), info.columns[2].mode), ("extra", ColumnMode::Nullable));
    assert_eq!(bench.party.row_count(&bench.table_ref("wider")).await, 5);
}

async fn a_column_whose_type_changed_is_refused(bench: &Bench<'_>) {
    bench.finish(&bench.load("typed_0", "typed", file(&ids(0..3)))).await;
    let text: ArrayRef = Arc::new(StringArray::from(vec!["one", "two"]));
    let columns = vec![(Field::new("id", DataType::Utf8, false), text)];
    let refused = bench.finish(&bench.load("typed_1", "typed", file(&columns))).await;
    assert!(
        matches!(refused.state, JobState::Failed(JobFailure { ref reason, .. }) if reason == "invalid"),
        "{refused:?}"
    );
    assert_eq!(bench.party.row_count(&bench.table_ref("typed")).await, 3);
}

async fn loads_at_the_same_time_each_bring_their_rows(bench: &Bench<'_>) {
    bench.finish(&bench.load("busy_0", "busy", file(&ids(0..1)))).await;
    let loads: Vec<LoadJob> =
        (1..5).map(|n| bench.load(&format!("busy_{n}"), "busy", file(&ids(0..100 * n)))).collect();
    let ended = futures_util::future::join_all(loads.iter().map(|load| bench.finish(load))).await;
    for record in ended {
        assert_eq!(record.state, JobState::Succeeded);
    }
    assert_eq!(bench.party.row_count(&bench.table_ref("busy")).await, 1 + 100 + 200 + 300 + 400);
}

async fn nothing_is_begun_after_the_deadline(bench: &Bench<'_>) {
    let warehouse = bench.party.warehouse();
    let load = bench.load("late_0", "late", file(&ids(0..3)));
    let passed = Deadline::at(SystemClock.now());
    let error = warehouse.insert(&load, bench.objects(), passed).await.expect_err("too late");
    assert!(matches!(error, InsertError::Call(CallError::OutOfTime { sent: false, .. })), "{error:?}");
    let error = warehouse.get_job(&load.job, passed).await.expect_err("too late");
    assert!(matches!(error, CallError::OutOfTime { sent: false, .. }), "{error:?}");
    let error = warehouse.get_table(&bench.table_ref("late"), passed).await.expect_err("too late");
    assert!(matches!(error, CallError::OutOfTime { sent: false, .. }), "{error:?}");
    assert_eq!(bench.get(&load.job).await, None);
}

/// The party, and the objects that it loads.
pub(super) struct Bench<'a> {
    party: &'a dyn Party,
    objects: Arc<MemoryObjects>,
    place: Place,
}

impl<'a> Bench<'a> {
    /// A bench over a party, and the dataset on it.
    pub(super) async fn new(party: &'a dyn Party) -> Self {
        let place = party.place();
        party.create_dataset(&place).await;
        Self { party, objects: Arc::new(MemoryObjects::new()), place }
    }

    fn job_ref(&self, id: &str) -> JobRef {
        let Place { project, location, suffix, .. } = self.place.clone();
        JobRef { project, location, id: format!("{id}{suffix}") }
    }

    pub(super) fn table_ref(&self, table: &str) -> TableRef {
        let Place { project, dataset, suffix, .. } = self.place.clone();
        TableRef { project, dataset, table: format!("{table}{suffix}") }
    }

    fn objects(&self) -> Arc<dyn Objects> {
        Arc::clone(&self.objects) as Arc<dyn Objects>
    }

    /// Plans a job that appends an object with these bytes to a table.
    pub(super) fn load(&self, job_id: &str, table: &str, bytes: Bytes) -> LoadJob {
        let length_bytes = bytes.len() as u64;
        let object: Object = self.objects.put("landing", job_id, bytes);
        let part = Part::Range { object, offset_bytes: 0, length_bytes };
        let (job, table) = (self.job_ref(job_id), self.table_ref(table));
        let resource = resource(&job, &table);
        LoadJob { job, resource, parts: vec![part] }
    }

    pub(super) async fn insert(&self, load: &LoadJob) -> Result<Inserted, InsertError> {
        self.party.warehouse().insert(load, self.objects(), ample()).await
    }

    pub(super) async fn get(&self, job: &JobRef) -> Option<JobRecord> {
        self.party.warehouse().get_job(job, ample()).await.expect("an answer")
    }

    /// Inserts a job whose id is free, and waits for its end.
    async fn finish(&self, load: &LoadJob) -> JobRecord {
        match self.insert(load).await {
            Ok(Inserted::Created(_)) => self.settled(&load.job).await,
            other => panic!("{}: {other:?}", load.job.id),
        }
    }

    /// Waits for a job's end, and sees to it that it goes forward only.
    async fn settled(&self, job: &JobRef) -> JobRecord {
        let mut was_running = false;
        for _ in 0..1000 {
            let record = self.get(job).await.expect("a job that was made is known");
            match record.state {
                JobState::Pending => assert!(!was_running, "a running job does not wait again"),
                JobState::Running => was_running = true,
                JobState::Succeeded | JobState::Failed(_) => return record,
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
        panic!("{job} does not end");
    }

    async fn lookup(&self, table: &str) -> TableLookup {
        self.party.warehouse().get_table(&self.table_ref(table), ample()).await.expect("an answer")
    }

    async fn table(&self, table: &str) -> TableInfo {
        match self.lookup(table).await {
            TableLookup::Found(info) => info,
            other => panic!("{table}: {other:?}"),
        }
    }

    /// The insertion is refused, or the job fails, because there is no such dataset there.
    async fn assert_not_found(&self, load: &LoadJob) {
        match self.insert(load).await {
            Err(InsertError::Call(CallError::NotFound { detail, .. })) => {
                assert!(detail.contains("Dataset"), "{detail}");
                assert_eq!(self.get(&load.job).await, None);
            }
            Ok(Inserted::Created(_)) => {
                let record = self.settled(&load.job).await;
                let JobState::Failed(failure) = record.state else { panic!("{record:?}") };
                assert_eq!(failure.reason, "notFound");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn ample() -> Deadline {
    Deadline::at(SystemClock.now() + Duration::from_secs(60))
}

fn resource(job: &JobRef, table: &TableRef) -> Value {
    json!({
        "jobReference": {"projectId": job.project, "location": job.location, "jobId": job.id},
        "configuration": {
            "load": {
                "destinationTable":
                    {"projectId": table.project, "datasetId": table.dataset, "tableId": table.table},
                "sourceFormat": "PARQUET",
                "createDisposition": "CREATE_IF_NEEDED",
                "writeDisposition": "WRITE_APPEND",
                "schemaUpdateOptions": ["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"],
            },
            "labels": {"object": "0123456789abcdef"},
        },
    })
}

type Column = (Field, ArrayRef);

/// The columns of most files: a required number and an optional text.
pub(super) fn ids(range: std::ops::Range<i64>) -> Vec<Column> {
    let names = StringArray::from_iter(range.clone().map(|id| (id % 7 != 0).then(|| format!("name {id}"))));
    let ids = Int64Array::from_iter_values(range);
    vec![
        (Field::new("id", DataType::Int64, false), Arc::new(ids)),
        (Field::new("name", DataType::Utf8, true), Arc::new(names)),
    ]
}

/// A Parquet file with these columns.
pub(super) fn file(columns: &[Column]) -> Bytes {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.iter().cloned().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("columns of one length");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    bytes.into()
}

/// Rows enough for several chunks of an upload, when the chunks are the smallest that Google accepts.
const LARGE_ROWS: usize = 100_000;

/// A file of more than 768 KiB: numbers that no encoding makes small.
fn large_file() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let numbers = Int64Array::from_iter_values((0..LARGE_ROWS).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::from_ne_bytes(state.to_ne_bytes())
    }));
    let bytes = file(&[(Field::new("id", DataType::Int64, false), Arc::new(numbers))]);
    assert!(bytes.len() > 3 * 256 * 1024, "{}", bytes.len());
    bytes
}
