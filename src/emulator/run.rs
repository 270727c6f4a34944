//! A job's life: made, pending, running, done. The commit is one rename of `table.json`.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::Emulator;
use super::disk::{job_stem, remove_if_there, sync_folder, write_json};
use super::error::{ApiError, JobError};
use super::jobs::{Job, JobEnd, Loaded};
use super::load::{LoadSpec, WriteDisposition};
use super::names::{JobKey, parse_location};
use super::parquet_file::{ParquetFile, unreadable};
use super::plan::{append, check_layout, check_same_layout, loaded_schema};
use super::schema::{Field, same_name};
use super::table::{Part, Table};

/// A job as a client asked for it, checked as far as can be without its bytes.
#[derive(Debug, Clone)]
pub(crate) struct JobRequest {
    pub(crate) key: JobKey,
    pub(crate) configuration: Value,
}

/// A file that was read to its end, and what it holds.
struct Checked {
    schema: Vec<Field>,
    loaded: Loaded,
}

impl Emulator {
    /// Reads a job resource (`jobReference` and `configuration`).
    pub(crate) fn parse_job(&self, project: &str, resource: &Value) -> Result<JobRequest, ApiError> {
        let configuration = resource.get("configuration").cloned().unwrap_or_default();
        let spec = LoadSpec::parse(&configuration, project)?;
        let reference =
            |name: &str| resource.get("jobReference").and_then(|it| it.get(name)).and_then(Value::as_str);
        if let Some(other) = reference("projectId").filter(|other| *other != project) {
            return Err(ApiError::invalid(format!(
                "The job's project {other} is not the request's project {project}."
            )));
        }
        let generated = || format!("job_{}{}", super::random_id(), super::random_id());
        let id = reference("jobId").map_or_else(generated, str::to_owned);
        let location = match reference("location") {
            Some(location) => parse_location(location)?,
            // Without a location BigQuery takes the dataset's.
            None => self
                .catalog
                .dataset(&spec.destination.dataset)
                .map_or("US".to_owned(), |it| it.location.clone()),
        };
        Ok(JobRequest { key: JobKey::parse(project, &location, &id)?, configuration })
    }

    /// Makes a job of an upload that is complete and on disk. From here on the id is taken for ever.
    pub(crate) async fn create_job(
        self: &Arc<Self>,
        request: JobRequest,
        upload: &str,
        input_bytes: u64,
    ) -> Result<Arc<Job>, ApiError> {
        let reservation = self.jobs.reserve(&request.key)?;
        let job = Job {
            key: request.key,
            configuration: request.configuration,
            upload: upload.to_owned(),
            input_bytes,
            created_ms: self.clock.unix_ms(),
            started_ms: None,
            end: None,
        };
        self.write_job(&job).await?;
        let job = self.jobs.put(job);
        drop(reservation);
        self.spawn_job(Arc::clone(&job));
        Ok(job)
    }

    pub(crate) fn spawn_job(self: &Arc<Self>, job: Arc<Job>) {
        let emulator = Arc::clone(self);
        self.tasks.spawn(async move {
            let stopping = emulator.stopping.clone();
            let work = emulator.run_job(Job::clone(&job));
            // What is pending when the process ends starts again with it. A commit is never left half-way:
            // `run_job` shields it.
            if let Some(Err(error)) = stopping.run_until_cancelled(work).await {
                tracing::error!(job = %job.key, %error, "a job's record could not be written");
            }
        });
    }

    async fn run_job(self: &Arc<Self>, mut job: Job) -> Result<(), ApiError> {
        let cancelled = self.jobs.cancelled(&job.key).unwrap_or_default();
        let checked = cancelled.run_until_cancelled(self.check_job(&mut job)).await;
        let checked = checked.unwrap_or_else(|| Err(stopped()));
        let emulator = Arc::clone(self);
        let commit = self.tasks.spawn(async move { emulator.settle(job, checked).await });
        commit.await.unwrap_or_else(|panic| Err(ApiError::internal(panic)))
    }

    /// Waits as a queue would, then reads the whole file.
    async fn check_job(&self, job: &mut Job) -> Result<(LoadSpec, Checked), JobError> {
        self.clock.sleep(self.options.pending).await;
        job.started_ms = Some(self.clock.unix_ms());
        self.jobs.put(job.clone());
        let began = self.clock.now();
        let checked = self.read_upload(job).await;
        self.clock.sleep(self.options.running.saturating_sub(self.clock.now() - began)).await;
        checked
    }

    async fn read_upload(&self, job: &Job) -> Result<(LoadSpec, Checked), JobError> {
        let spec = LoadSpec::parse(&job.configuration, &job.key.project)
            .map_err(|it| JobError::invalid(it.to_string()))?;
        self.check_destination(job, &spec)?;
        let _permit = self.readers.acquire().await.map_err(unreadable)?;
        let path = self.disk.upload_path(&job.upload);
        let asked = spec.clone();
        let reading = tokio::task::spawn_blocking(move || check_file(path, &asked));
        // The Parquet library may panic on a damaged file.
        let checked = reading.await.unwrap_or_else(|_| Err(unreadable("the reader gave up on it")))?;
        Ok((spec, checked))
    }

    /// The dataset must exist where the job runs. That a missing one fails the job, instead of refusing it
    /// at once, is how clients describe it ("Not found: Dataset …" from `result()`); it has not been tried.
    fn check_destination(&self, job: &Job, spec: &LoadSpec) -> Result<(), JobError> {
        let dataset = &spec.destination.dataset;
        let location = &job.key.location;
        match self.catalog.dataset(dataset) {
            None => Err(JobError::not_found(format!("Dataset {dataset}"))),
            Some(found) if found.location != *location => {
                Err(JobError::not_found(format!("Dataset {dataset} was not found in location {location}")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Commits what was read, or fails the job; then keeps the result. Only one job at a time is here for one table.
    async fn settle(
        &self,
        mut job: Job,
        checked: Result<(LoadSpec, Checked), JobError>,
    ) -> Result<(), ApiError> {
        let destination = LoadSpec::parse(&job.configuration, &job.key.project)?.destination;
        let gate = self.catalog.gate(&destination).await;
        let result = match checked {
            Ok((spec, checked)) => self.commit(&job, &spec, checked).await,
            Err(error) => Err(error),
        };
        let ended_ms = self.clock.unix_ms();
        self.changes().note(&destination, ended_ms, result.as_ref().err());
        job.end = Some(JobEnd { ended_ms, result });
        self.write_job(&job).await?;
        remove_if_there(&self.disk.upload_path(&job.upload))?;
        self.jobs.put(job);
        drop(gate);
        Ok(())
    }

    async fn commit(&self, job: &Job, spec: &LoadSpec, checked: Checked) -> Result<Loaded, JobError> {
        if self.jobs.cancelled(&job.key).is_some_and(|it| it.is_cancelled()) {
            return Err(stopped());
        }
        if let Some(fault) = self.options.faults.job(&job.key.id) {
            return Err(JobError::new(&fault.reason, fault.message));
        }
        self.check_destination(job, spec)?;
        let existing = self.catalog.table(&spec.destination);
        // A job is in its table once at most, whatever became of its record.
        let part_of_this_job =
            existing.as_deref().and_then(|t| t.parts.iter().find(|part| part.job == job.key));
        if let Some(part) = part_of_this_job {
            return Ok(Loaded { rows: part.rows, bytes: part.bytes });
        }
        let mut table = self.planned_table(job, spec, existing.as_deref(), &checked.schema)?;
        let now_ms = self.clock.unix_ms();
        self.changes().check(&self.options.limits, &spec.destination, &table.layout, now_ms)?;

        let superseded: Vec<PathBuf> = match spec.write {
            WriteDisposition::Truncate => {
                table.loaded_schemas.clear();
                table.parts.drain(..).map(|part| self.disk.part_path(&table.key, &part.file)).collect()
            }
            WriteDisposition::Append | WriteDisposition::Empty => Vec::new(),
        };
        let loaded_schema = table.intern_schema(common(&checked.schema, &table.schema));
        let loaded @ Loaded { rows, bytes } = checked.loaded;
        let file = format!("{}.parquet", job_stem(&job.key));
        table.parts.push(Part { file, job: job.key.clone(), rows, bytes, loaded_ms: now_ms, loaded_schema });
        table.modified_ms = now_ms;
        self.write_table(&table, &job.upload).await?;
        self.catalog.put_table(table);
        for path in superseded {
            remove_if_there(&path)?;
        }
        Ok(loaded)
    }

    /// The table as it will be, but for the new part.
    fn planned_table(
        &self,
        job: &Job,
        spec: &LoadSpec,
        existing: Option<&Table>,
        schema: &[Field],
    ) -> Result<Table, JobError> {
        let key = &spec.destination;
        let Some(existing) = existing else {
            return self.new_table(job, spec, schema);
        };
        check_same_layout(&existing.layout, &spec.layout)?;
        let schema = match spec.write {
            WriteDisposition::Empty if existing.rows() > 0 => {
                return Err(JobError::new("duplicate", format!("Already Exists: Table {key}")));
            }
            WriteDisposition::Truncate => schema.to_vec(),
            // A table may be made without a schema; the first load brings it.
            WriteDisposition::Append | WriteDisposition::Empty if existing.schema.is_empty() => {
                schema.to_vec()
            }
            WriteDisposition::Append | WriteDisposition::Empty => {
                append(key, &existing.schema, schema, spec)?
            }
        };
        check_layout(&existing.layout, &schema)?;
        Ok(Table { schema, ..existing.clone() })
    }

    fn new_table(&self, job: &Job, spec: &LoadSpec, schema: &[Field]) -> Result<Table, JobError> {
        if !spec.create_if_needed {
            return Err(JobError::not_found(format!("Table {}", spec.destination)));
        }
        if schema.is_empty() {
            return Err(JobError::invalid("Schema has no fields."));
        }
        check_layout(&spec.layout, schema)?;
        let now_ms = self.clock.unix_ms();
        Ok(Table {
            key: spec.destination.clone(),
            location: job.key.location.clone(),
            created_ms: now_ms,
            modified_ms: now_ms,
            schema: schema.to_vec(),
            layout: spec.layout.clone(),
            kms_key: spec.kms_key.clone(),
            given: serde_json::Map::new(),
            loaded_schemas: Vec::new(),
            parts: Vec::new(),
        })
    }

    /// Moves the upload in as the table's last part, then writes `table.json`: that rename is the commit.
    async fn write_table(&self, table: &Table, upload: &str) -> std::io::Result<()> {
        let Some(part) = table.parts.last() else { return Ok(()) };
        let from = self.disk.upload_path(upload);
        let to = self.disk.part_path(&table.key, &part.file);
        let (folder, path) = (self.disk.table_dir(&table.key), self.disk.table_path(&table.key));
        let table = table.clone();
        blocking(move || {
            std::fs::create_dir_all(&folder)?;
            std::fs::rename(from, to)?;
            sync_folder(&folder)?;
            write_json(&path, &table)
        })
        .await
    }

    async fn write_job(&self, job: &Job) -> std::io::Result<()> {
        let (path, job) = (self.disk.job_path(&job.key), job.clone());
        blocking(move || write_json(&path, &job)).await
    }

    pub(crate) fn changes(&self) -> std::sync::MutexGuard<'_, super::limits::ChangeLog> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work on the disk, kept off the threads that answer requests.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
}

fn stopped() -> JobError {
    JobError::new("stopped", "Job execution was cancelled: User requested cancellation")
}

fn check_file(path: PathBuf, spec: &LoadSpec) -> Result<Checked, JobError> {
    let file = ParquetFile::open(&path).map_err(unreadable)?;
    let schema = loaded_schema(file.columns(), spec)?;
    let rows = file.check_all_rows(&schema)?;
    Ok(Checked { schema, loaded: Loaded { rows, bytes: file.uncompressed_bytes() } })
}

/// What of a loaded schema the table has: the rest was dropped, and stays dropped if the table gets it later.
fn common(loaded: &[Field], table: &[Field]) -> Vec<Field> {
    let kept = loaded.iter().filter_map(|field| {
        let of_table = table.iter().find(|it| same_name(&it.name, &field.name))?;
        Some(Field { fields: common(&field.fields, &of_table.fields), ..field.clone() })
    });
    kept.collect()
}
