//! Starting on a folder that another process left, at any moment.
//!
//! `table.json` decides: a job whose part it lists is done, any other unsettled job starts again from its upload.
//! What nothing refers to is removed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Emulator;
use super::disk::{job_stem, list, read_json, remove_if_there, write_json};
use super::jobs::{Job, JobEnd, Loaded};
use super::load::LoadSpec;
use super::table::{Dataset, Table};
use super::uploads::{CHUNK_STEP_BYTES, SessionStart};

/// Reads the whole folder. Gives the jobs that have to run.
pub(crate) fn recover(emulator: &Emulator) -> io::Result<Vec<Arc<Job>>> {
    recover_tables(emulator)?;
    let mut jobs = read_jobs(emulator)?;
    jobs.sort_by_key(|job| job.created_ms);
    let mut unsettled = Vec::new();
    let mut by_upload = HashMap::new();
    for job in jobs {
        by_upload.insert(job.upload.clone(), job.key.clone());
        let job = settle(emulator, job)?;
        if job.end.is_none() {
            unsettled.push(Arc::clone(&job));
        }
    }
    // Only now is every part that waits for its job where its job looks for it.
    remove_unlisted_parts(emulator)?;
    let mut kept: HashSet<String> = unsettled.iter().map(|job| job.upload.clone()).collect();
    kept.extend(resume_sessions(emulator, &by_upload)?);
    remove_orphaned_uploads(emulator, &kept)?;
    Ok(unsettled)
}

fn recover_tables(emulator: &Emulator) -> io::Result<()> {
    for project in folders(&emulator.disk.tables_dir())? {
        for dataset in folders(&project)? {
            let file = dataset.join("dataset.json");
            if !file.exists() {
                // Its deletion had begun: `dataset.json` goes first.
                std::fs::remove_dir_all(&dataset)?;
                continue;
            }
            emulator.catalog.put_dataset(read_json::<Dataset>(&file)?);
            for table in folders(&dataset)? {
                let file = table.join("table.json");
                if file.exists() {
                    emulator.catalog.put_table(read_json::<Table>(&file)?);
                }
            }
        }
    }
    Ok(())
}

fn folders(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    Ok(list(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn read_jobs(emulator: &Emulator) -> io::Result<Vec<Job>> {
    let is_record = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "json");
    list(&emulator.disk.jobs_dir())?
        .iter()
        .filter(|path| is_record(path))
        .map(|path| read_json(path))
        .collect()
}

/// Finishes a job whose part is committed, and puts an uncommitted part back to where the job starts from.
fn settle(emulator: &Emulator, mut job: Job) -> io::Result<Arc<Job>> {
    let parsed = LoadSpec::parse(&job.configuration, &job.key.project);
    if job.end.is_some() && parsed.is_err() {
        // A stricter version than the one that ran this job: its record stays what it is.
        return Ok(emulator.jobs.put(job));
    }
    let spec = parsed.map_err(io::Error::other)?;
    if let Some(end) = &job.end {
        emulator.changes().note(&spec.destination, end.ended_ms, end.result.as_ref().err());
        return Ok(emulator.jobs.put(job));
    }
    let table = emulator.catalog.table(&spec.destination);
    if let Some(part) = table.as_deref().and_then(|table| table.part_of(&job.key)) {
        job.started_ms = job.started_ms.or(Some(job.created_ms));
        let result = Ok(Loaded { rows: part.rows, bytes: part.bytes });
        job.end = Some(JobEnd { ended_ms: part.loaded_ms, result });
        emulator.changes().note(&spec.destination, part.loaded_ms, None);
        write_json(&emulator.disk.job_path(&job.key), &job)?;
        return Ok(emulator.jobs.put(job));
    }
    let moved = emulator.disk.part_path(&spec.destination, &format!("{}.parquet", job_stem(&job.key)));
    if moved.exists() {
        std::fs::rename(moved, emulator.disk.upload_path(&job.upload))?;
    }
    job.started_ms = None;
    Ok(emulator.jobs.put(job))
}

/// Removes parts that no table lists: superseded ones, and tables whose deletion had begun.
fn remove_unlisted_parts(emulator: &Emulator) -> io::Result<()> {
    for project in folders(&emulator.disk.tables_dir())? {
        for dataset in folders(&project)? {
            for folder in folders(&dataset)? {
                let file = folder.join("table.json");
                if !file.exists() {
                    std::fs::remove_dir_all(&folder)?;
                    continue;
                }
                let table: Table = read_json(&file)?;
                let listed: HashSet<_> = table.parts.iter().map(|part| folder.join(&part.file)).collect();
                for path in list(&folder)?.into_iter().filter(|path| *path != file && !listed.contains(path))
                {
                    remove_if_there(&path)?;
                }
            }
        }
    }
    Ok(())
}

/// Takes up the sessions that were open. Gives the uploads that belong to them.
fn resume_sessions(
    emulator: &Emulator,
    by_upload: &HashMap<String, super::names::JobKey>,
) -> io::Result<Vec<String>> {
    let mut open = Vec::new();
    for path in list(&emulator.disk.uploads_dir())? {
        let (Some(id), true) =
            (path.file_stem().and_then(|it| it.to_str()), path.extension().is_some_and(|it| it == "json"))
        else {
            continue;
        };
        let start: SessionStart = read_json(&path)?;
        let made = by_upload.get(id).cloned();
        if made.is_some() {
            remove_if_there(&path)?;
        } else {
            open.push(id.to_owned());
        }
        let upload = emulator.disk.upload_path(id);
        let written = if upload.exists() { upload.metadata()?.len() } else { 0 };
        let received = written - written % CHUNK_STEP_BYTES;
        emulator.sessions.resume(id, start, received, made);
    }
    Ok(open)
}

fn remove_orphaned_uploads(emulator: &Emulator, kept: &HashSet<String>) -> io::Result<()> {
    for path in list(&emulator.disk.uploads_dir())? {
        let id = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
        if !kept.contains(id) {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}
