//! What the end of a job leads to: believed, tried again, or returned.

use super::found::{Origin, Seen};
use super::{Driver, Progress, WAIT_FOR_JOB};
use crate::cloud::TableLookup;
use crate::job::error::JobError;
use crate::job::load::{Load, Settled};
use crate::job::plan::ROWS_LABEL;
use crate::job::reason::{Verdict, judge};
use crate::job::{JobFailure, JobRecord};

impl Driver {
    /// A job that succeeded is believed once its table is still there and its rows are the file's.
    pub(super) async fn loaded(
        &self,
        load: &Load<'_>,
        attempt: u32,
        record: &JobRecord,
        origin: Origin,
        progress: &Progress,
    ) -> Result<Settled, JobError> {
        if origin != Origin::Made {
            self.check_table(load, attempt, record).await?;
        }
        let footer = progress.footer.as_ref();
        let labelled_rows = record.labels.get(ROWS_LABEL).and_then(|rows| rows.parse().ok());
        let file_rows = match (footer, labelled_rows) {
            (Some(read), _) => read.footer.row_count,
            (None, Some(rows)) => rows,
            // Somebody made this job by hand: the file itself has to say what it holds.
            (None, None) => self.footers.read(load.object).await?.footer.row_count,
        };
        // A number that is not told counts as none: the rows of a file without any are in all the same.
        if record.output_rows.unwrap_or(0) != file_rows {
            let output_rows = record.output_rows;
            return Err(JobError::RowMismatch { job: Box::new(load.job(attempt)), file_rows, output_rows });
        }
        if let (Origin::Made, Some(read)) = (origin, footer) {
            let brought: Vec<&str> = read.footer.columns.iter().map(|column| column.name.as_str()).collect();
            self.tables.loaded(&load.route.destination, progress.planned_with.as_ref(), &brought);
        }
        Ok(Settled {
            job_id: record.id.clone(),
            attempt,
            row_count: file_rows,
            adopted: origin != Origin::Made,
            size_bytes: footer.map(|read| read.object_size_bytes),
            ended_ms: record.ended_ms,
            outlived_a_receive: took_ms(record) > WAIT_FOR_JOB.as_millis(),
            job_wait_ms: self.waited_ms(progress),
        })
    }

    /// A success of the past says nothing of a table that was dropped or made anew since.
    async fn check_table(&self, load: &Load<'_>, attempt: u32, record: &JobRecord) -> Result<(), JobError> {
        let destination = &load.route.destination;
        let lookup =
            self.tables.get_afresh(destination, load.deadline).await.map_err(|e| load.call_error(e))?;
        let what = match lookup {
            TableLookup::NoTable => "does not exist any more",
            TableLookup::NoDataset => "is gone with its dataset",
            TableLookup::Found(table) => match record.ended_ms {
                Some(ended_ms) if table.created_ms > ended_ms => "was made anew since",
                Some(_) => return Ok(()),
                None => {
                    let detail = "it is done, but BigQuery does not say since when".to_owned();
                    return Err(JobError::Unreadable { job: Box::new(load.job(attempt)), detail });
                }
            },
        };
        Err(JobError::TableRecreated {
            job: Box::new(load.job(attempt)),
            destination: Box::new(destination.clone()),
            what,
        })
    }

    /// Says whether a failed job allows another attempt in this receive.
    pub(super) async fn failed(
        &self,
        load: &Load<'_>,
        attempt: u32,
        record: &JobRecord,
        failure: &JobFailure,
        seen: Seen,
        progress: &mut Progress,
    ) -> Result<(), JobError> {
        let ended_here = seen.asked_here || !seen.was_done;
        let job = Box::new(load.job(attempt));
        let message = failure.message.clone();
        let destination = Box::new(load.route.destination.clone());
        match judge(&failure.reason) {
            Verdict::MayPass => Ok(()),
            Verdict::MayPassIfSchemaMoved if seen.asked_here && self.schema_moved(load, progress).await? => {
                Ok(())
            }
            Verdict::NotSoon if ended_here => Err(JobError::QuotaExceeded { job, message }),
            Verdict::Denied if ended_here => Err(JobError::DestinationDenied { job, destination, message }),
            Verdict::DatasetMissing if ended_here => Err(load.dataset_not_found(message)),
            Verdict::NotSoon | Verdict::Denied | Verdict::DatasetMissing => Ok(()),
            Verdict::MayPassIfSchemaMoved | Verdict::ForGood => {
                // What ended before our eyes cannot have been redriven since, whatever the clocks say.
                let sent_since = record.ended_ms.is_some_and(|ended_ms| load.receipt.sent_after(ended_ms));
                let redriven_since = sent_since && !ended_here;
                if redriven_since
                    || (!seen.asked_here
                        && self.is_outdated(load, attempt, record, failure, progress).await?)
                {
                    return Ok(());
                }
                let reason = failure.reason.clone();
                Err(JobError::Rejected { job, reason, message: with_details(message, &failure.details) })
            }
        }
    }

    /// Whether the table's columns are others by now than those that this receive planned its job with.
    async fn schema_moved(&self, load: &Load<'_>, progress: &Progress) -> Result<bool, JobError> {
        let now = self.tables.get_afresh(&load.route.destination, load.deadline).await;
        Ok(match now.map_err(|e| load.call_error(e))? {
            TableLookup::Found(now) => {
                progress.planned_with.as_ref().is_none_or(|planned| planned.columns != now.columns)
            }
            TableLookup::NoTable | TableLookup::NoDataset => progress.planned_with.is_some(),
        })
    }

    /// Whether a failure that another receive planned for is no longer the last word. Either a later attempt was made:
    /// whoever made it had a reason to. Or the schema moved, of which one thing is certain: a table that came after
    /// the job was not known to its plan. (What that plan knew of an older table, nobody knows any more.)
    async fn is_outdated(
        &self,
        load: &Load<'_>,
        attempt: u32,
        record: &JobRecord,
        failure: &JobFailure,
        progress: &mut Progress,
    ) -> Result<bool, JobError> {
        progress.seen_next = self.look(load, attempt + 1).await?;
        if progress.seen_next.is_some() {
            return Ok(true);
        }
        if judge(&failure.reason) != Verdict::MayPassIfSchemaMoved {
            return Ok(false);
        }
        let table = self.tables.get(&load.route.destination, load.deadline).await;
        Ok(match table.map_err(|e| load.call_error(e))? {
            TableLookup::Found(table) => record.created_ms.is_some_and(|made_ms| table.created_ms > made_ms),
            TableLookup::NoTable | TableLookup::NoDataset => false,
        })
    }
}

/// From a job's making to its end.
fn took_ms(record: &JobRecord) -> u128 {
    let (Some(created_ms), Some(ended_ms)) = (record.created_ms, record.ended_ms) else { return 0 };
    ended_ms.saturating_sub(created_ms).into()
}

/// BigQuery's first message is often "see errors[]"; the one that helps stands there.
fn with_details(message: String, details: &[String]) -> String {
    match details.is_empty() {
        true => message,
        false => format!("{message}; {}", details.join("; ")),
    }
}
