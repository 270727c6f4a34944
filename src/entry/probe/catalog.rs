//! Every experiment, by the number of its row in `docs/verified.md`; and the rows that are none, with the reason.

use super::ask::{aws, jobs, schemas, uploads};
use super::experiment::{Cost, Experiment, Needs};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// So many load jobs of a few rows.
const fn loads(jobs: u32) -> Cost {
    Cost { jobs, bytes: jobs as u64 * 4 * KIB, secs: 15 * jobs }
}

/// No job; so many bytes to S3, and the time that messages take.
const fn calls(bytes: u64, secs: u32) -> Cost {
    Cost { jobs: 0, bytes, secs }
}

macro_rules! experiment {
    ($number:literal, $name:literal, $ask:path, $cost:expr, $needs:ident, $assumed:literal) => {
        Experiment {
            number: $number,
            name: $name,
            assumed: $assumed,
            cost: $cost,
            needs: Needs::$needs,
            ask: |bench| Box::pin($ask(bench)),
        }
    };
}

/// All experiments, in the order of their rows.
pub const EXPERIMENTS: &[Experiment] = &[
    experiment!(
        1,
        "nullable-over-required",
        schemas::nullable_over_required,
        loads(2),
        Dataset,
        "a schema may say NULLABLE where the file says REQUIRED"
    ),
    experiment!(
        2,
        "required-by-inference",
        schemas::required_by_inference,
        loads(2),
        Dataset,
        "a REQUIRED column is not added by inference"
    ),
    experiment!(
        3,
        "required-over-optional",
        schemas::required_over_optional,
        loads(1),
        Dataset,
        "a REQUIRED column takes an OPTIONAL one without nulls"
    ),
    experiment!(
        4,
        "relaxation",
        schemas::relaxation,
        loads(2),
        Dataset,
        "a file without a REQUIRED column loads and relaxes it"
    ),
    experiment!(
        5,
        "missing-column",
        schemas::missing_column,
        loads(2),
        Dataset,
        "a NULLABLE column that a file lacks becomes null"
    ),
    experiment!(
        6,
        "datetime",
        schemas::datetime_by_schema,
        loads(1),
        Dataset,
        "a schema makes DATETIME of a timestamp"
    ),
    experiment!(
        7,
        "timestamp",
        schemas::timestamp_by_inference,
        loads(2),
        Dataset,
        "without a schema every timestamp is TIMESTAMP"
    ),
    experiment!(8, "time", schemas::time, loads(2), Dataset, "TIME loads with a schema, and not without"),
    experiment!(
        9,
        "decimal",
        schemas::decimal_by_schema,
        loads(3),
        Dataset,
        "a schema chooses NUMERIC, BIGNUMERIC or STRING for a DECIMAL"
    ),
    experiment!(10, "enum", schemas::enum_as_bytes, loads(1), Dataset, "a schema of BYTES reads an ENUM"),
    experiment!(
        11,
        "integer-into-numeric",
        schemas::integer_into_numeric,
        loads(2),
        Dataset,
        "integers do not go into NUMERIC or FLOAT"
    ),
    experiment!(
        12,
        "refused-types",
        schemas::types_we_refuse,
        loads(4),
        Dataset,
        "DECIMAL in bytes, JSON, UUID and nanoseconds do not land as what they are"
    ),
    experiment!(
        13,
        "unsigned",
        schemas::unsigned,
        loads(2),
        Dataset,
        "UINT_64 up to 2^63-1 is INTEGER, beyond it fails"
    ),
    experiment!(
        14,
        "always-null",
        schemas::always_null,
        loads(1),
        Dataset,
        "a column that is always null is INTEGER"
    ),
    experiment!(
        15,
        "list-inference",
        schemas::list_without_inference,
        loads(2),
        Dataset,
        "a list without list inference is silently empty"
    ),
    experiment!(
        16,
        "schema-of-the-file",
        schemas::schema_of_the_file_alone,
        loads(2),
        Dataset,
        "a schema of the file's columns leaves the others alone"
    ),
    experiment!(
        17,
        "required-into-nullable",
        schemas::required_into_nullable,
        loads(1),
        Dataset,
        "a REQUIRED column does not go into a NULLABLE one by inference"
    ),
    experiment!(
        18,
        "strict-names",
        schemas::strict_names,
        loads(2),
        Dataset,
        "STRICT is taken for Parquet, and refuses names"
    ),
    experiment!(
        19,
        "names-without-case",
        schemas::names_without_case,
        loads(2),
        Dataset,
        "names compare without case, and keep their letters"
    ),
    experiment!(
        20,
        "conflict-in-a-session",
        uploads::conflict_in_a_session,
        loads(2),
        Dataset,
        "a known id is refused with 409, at a session's start or end"
    ),
    experiment!(
        21,
        "two-sessions",
        uploads::two_sessions,
        loads(2),
        Dataset,
        "of two sessions of one id one makes the job"
    ),
    experiment!(
        22,
        "found-after-conflict",
        jobs::found_after_conflict,
        loads(2),
        Dataset,
        "a job is found within 4 s of a conflict"
    ),
    experiment!(
        23,
        "scope-of-ids",
        jobs::scope_of_ids,
        loads(3),
        Dataset,
        "ids are unique per project and location, in any spelling"
    ),
    experiment!(
        24,
        "failed-id",
        jobs::failed_id_stays,
        loads(2),
        Dataset,
        "the id of a failed job stays taken"
    ),
    experiment!(25, "deleted-id", jobs::deleted_id, loads(2), Dataset, "after jobs.delete the id is free"),
    experiment!(
        26,
        "cancel",
        jobs::cancelled_load,
        Cost { jobs: 2, bytes: 4 * MIB, secs: 60 },
        Dataset,
        "a cancelled load leaves no row, or all"
    ),
    experiment!(
        28,
        "no-rows",
        jobs::no_rows,
        loads(1),
        Dataset,
        "outputRows of a file without rows is \"0\" or left out"
    ),
    experiment!(
        29,
        "creation-time",
        jobs::creation_and_end,
        loads(4),
        Dataset,
        "a table is not younger than the end of the job that made it"
    ),
    experiment!(
        30,
        "creation-race",
        jobs::creation_race,
        loads(4),
        Dataset,
        "of several jobs that create a table each loads, or fails with `duplicate`"
    ),
    experiment!(
        31,
        "rate-limit",
        jobs::rate_limit,
        loads(21),
        Dataset,
        "too many changes of a table are `rateLimitExceeded`"
    ),
    experiment!(
        35,
        "broken-chunk",
        uploads::broken_chunk,
        Cost { jobs: 1, bytes: 3 * MIB, secs: 60 },
        Dataset,
        "of a broken chunk the whole 256 KiB are kept; 308 without Range is nothing"
    ),
    experiment!(
        36,
        "session-host",
        uploads::session_host,
        loads(1),
        Dataset,
        "a session is on a host that we trust"
    ),
    experiment!(
        37,
        "what-is-missing",
        jobs::what_is_missing,
        calls(0, 5),
        Dataset,
        "a missing dataset is told from a missing table"
    ),
    experiment!(
        38,
        "table-with-a-space",
        jobs::table_with_a_space,
        loads(1),
        Dataset,
        "a table with spaces loads and is found"
    ),
    experiment!(39, "labels", jobs::labels, loads(1), Dataset, "our labels are taken and kept"),
    experiment!(
        40,
        "partitioning",
        jobs::partitioning,
        loads(2),
        Dataset,
        "partitioning holds at creation, and is refused when it differs"
    ),
    experiment!(
        42,
        "missing-dataset",
        jobs::missing_dataset,
        loads(2),
        Dataset,
        "a missing dataset or another location is `notFound`"
    ),
    experiment!(43, "clocks", aws::clocks, loads(1), Queue, "the clocks of SQS and BigQuery agree to 2 s"),
    experiment!(
        60,
        "moved-is-new",
        aws::moved_is_sent_anew,
        calls(0, 120),
        Queue,
        "a message moved from a dead-letter queue is sent anew"
    ),
    experiment!(
        61,
        "moved-names-source",
        aws::moved_names_its_source,
        calls(0, 1),
        Queue,
        "it may name DeadLetterQueueSourceArn, or not"
    ),
    experiment!(
        62,
        "moved-counts-anew",
        aws::moved_counts_anew,
        calls(0, 1),
        Queue,
        "its receives count from 1"
    ),
    experiment!(
        64,
        "spelling-of-keys",
        aws::spelling_of_keys,
        calls(KIB, 60),
        News,
        "keys in S3's events are form-encoded once"
    ),
    experiment!(65, "copies", aws::copies_are_told_as_such, calls(KIB, 60), News, "a copy is told as a copy"),
    experiment!(
        69,
        "etags",
        aws::etags_agree,
        calls(6 * MIB, 60),
        News,
        "the etag of an event is that of HEAD and listing"
    ),
    experiment!(
        70,
        "if-match",
        aws::conditional_ranges,
        calls(KIB, 5),
        Bucket,
        "a range of a replaced object answers 412"
    ),
    experiment!(
        72,
        "queue-address",
        aws::address_from_the_arn,
        calls(0, 15),
        Queue,
        "a queue's address follows from its ARN"
    ),
    experiment!(
        74,
        "twelve-hours",
        aws::twelve_hours_from_the_receive,
        calls(0, 30),
        Queue,
        "visibility ends twelve hours after the receive"
    ),
    experiment!(
        75,
        "conditional-puts",
        aws::conditional_puts,
        calls(KIB, 5),
        Bucket,
        "a conditional PUT that does not hold is refused: 412, or 404 for what is gone"
    ),
    experiment!(
        76,
        "listing-at-once",
        aws::listed_at_once,
        calls(KIB, 5),
        Bucket,
        "a listing shows an object as soon as it was written"
    ),
];

/// Rows that probe does not ask, each with the reason.
pub const FOR_A_PERSON: &[(u16, &str)] = &[
    (27, "nobody knows how to make a load job warn on purpose: look at `errors` of a job that has some"),
    (32, "it uses a table's whole day up, and 1,501 jobs: by hand, if at all"),
    (33, "it uses the project's whole day up: look at the first site that meets it"),
    (34, "it sends 16 GiB: `dms2bq load` of large files, by hand"),
    (
        41,
        "nothing tells what was counted: compare the day's quota in the console after loads over several days",
    ),
    (50, "it depends on a service account's key: `dms2bq load` with one"),
    (51, "it depends on the account: `dms2bq load` with one that has this scope alone"),
    (52, "it needs a function in Lambda with that sign-in, and one message"),
    (53, "it needs a new account with these rights alone"),
    (54, "it needs a function in Lambda, with and without the variable"),
    (55, "it needs a function in Lambda with that sign-in, and no service account"),
    (56, "it needs refused sign-ins: take rights away one by one, and compare the words"),
    (57, "it needs a workload identity pool, and a second role that must not be admitted"),
    (58, "it needs Terraform, and a project to apply it in"),
    (59, "it needs a function that runs for two hours with that sign-in"),
    (63, "it needs a rule of EventBridge, which belongs to the account"),
    (66, "it needs functions that reply each of these"),
    (67, "it needs a function behind an event source without the setting; messages get lost by it"),
    (68, "it needs a function that fails"),
    (71, "it needs a function that sets visibility and fails"),
    (73, "it needs a role with this right alone, and a function"),
    (80, "it needs a DMS task on a table with such a name"),
    (81, "it needs a DMS task under load"),
    (82, "it needs a DMS task and a reload"),
    (90, "it needs a stack made of the template"),
    (91, "it needs a stack made of the template"),
    (92, "it needs the function's role, and a person who may act as it"),
    (93, "it changes what a bucket tells others"),
    (94, "it needs a stack that makes its bucket"),
    (95, "it needs a stack with two lanes"),
    (96, "it needs a stack by EventBridge, with its queue's policy taken away"),
    (97, "it needs a stack that has worked for some days"),
    (98, "it needs a message that lies in a dead-letter queue for days"),
    (99, "it needs GitHub, and roles that trust it"),
    (100, "it needs GitHub's runners"),
    (101, "it needs GitHub"),
    (102, "it needs a stack and an outage of an hour"),
    (103, "it needs a stack and an outage of an hour"),
    (104, "it needs a stack that fails"),
    (105, "it needs a function"),
    (106, "it needs a role with these rights alone, and a stack"),
    (110, "it needs a table of some weeks' changes"),
    (111, "it needs a table of some weeks' changes"),
];

/// Finds the experiments that were named, by number or name.
///
/// # Errors
/// The name that is none, in words.
pub fn named(only: &[String]) -> Result<Vec<&'static Experiment>, String> {
    if only.is_empty() {
        return Ok(EXPERIMENTS.iter().collect());
    }
    let is_it = |experiment: &Experiment, name: &str| {
        experiment.name == name || experiment.number.to_string() == name
    };
    if let Some(unknown) =
        only.iter().find(|name| !EXPERIMENTS.iter().any(|experiment| is_it(experiment, name)))
    {
        let why = FOR_A_PERSON.iter().find(|(number, _)| number.to_string() == **unknown);
        return Err(match why {
            Some((number, why)) => format!("row {number} is for a person: {why}"),
            None => format!("there is no experiment {unknown:?}; `dms2bq probe --list` shows them"),
        });
    }
    Ok(EXPERIMENTS.iter().filter(|experiment| only.iter().any(|name| is_it(experiment, name))).collect())
}
