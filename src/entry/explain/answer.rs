//! What would happen to one object.

use serde::Serialize;

use super::question::Question;
use crate::event::{Created, EventError, IgnoredEvent, Notice};
use crate::job::id::JobId;
use crate::key::{self, DmsFile, DmsKey, KeyMeaning};
use crate::object::{ETag, Object, ObjectError, ObjectRef};
use crate::outcome::StepError;
use crate::outcome::record::Chain;
use crate::route::{Decision, Landing, Mappings, Route};

/// What would happen to one object, and why. Serialised, it is a line of `--format json`: every field is there
/// always, in this order, and names and order are an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The bucket.
    pub bucket: Option<String>,
    /// The key, decoded.
    pub key: Option<String>,
    /// The etag, where the event or `--etag` tells it.
    pub etag: Option<String>,
    /// The version that the event names.
    pub version_id: Option<String>,
    /// `full_load` or `cdc`.
    pub kind: Option<&'static str>,
    /// The bucket folder, as the mapping has it; without a mapping, as read from the right.
    pub bucket_folder: Option<String>,
    /// The schema as the key spells it.
    pub schema: Option<String>,
    /// The table as the key spells it.
    pub table: Option<String>,
    /// The counter of a full load.
    pub sequence: Option<u64>,
    /// When DMS wrote the changes out.
    pub timestamp: Option<String>,
    /// The date folders.
    pub date_partition: Option<String>,
    /// The segment of a parallel load.
    pub segment: Option<String>,
    /// `project.dataset.table`.
    pub destination: Option<String>,
    /// The id of the first job that would load it.
    pub job_id: Option<String>,
    /// What would happen.
    #[serde(rename = "outcome")]
    pub ending: Ending,
    /// The code of the reason, unless it would be loaded.
    pub code: Option<&'static str>,
    /// The reason, unless it would be loaded.
    pub message: Option<String>,
    /// What only a person is told.
    #[serde(skip)]
    pub(super) aside: Aside,
}

/// What would happen to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It would be loaded.
    Load,
    /// It would be ignored, by name.
    Ignore,
    /// Its message would go back to the queue, and at last to the dead-letter queue.
    Error,
}

/// What the words say and the JSON leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Aside {
    /// Where the record stands, if an event was asked about.
    pub(super) place: Option<String>,
    /// The mapping's file.
    pub(super) mapping_file: Option<String>,
    /// The rule that decides about the table.
    pub(super) rule: Option<String>,
    /// The time zone of the file's timestamp.
    pub(super) timezone: Option<String>,
    /// The full load's file name, which shows the counter as DMS writes it.
    pub(super) stem: Option<String>,
    /// The dataset's location.
    pub(super) location: Option<String>,
    /// Whether the parts of the key are guessed, for lack of a mapping.
    pub(super) guessed: bool,
    /// What to do about an error.
    pub(super) remedy: Option<String>,
}

/// Why an object would be ignored.
struct Ignored {
    code: &'static str,
    reason: String,
}

impl Answer {
    /// Answers a question by the mappings. `etag` serves where the question has none.
    pub(super) fn to(question: Question, etag: Option<&ETag>, mappings: &Mappings) -> Self {
        match question {
            Question::Object(object) => Self::of_object(object, false, etag, mappings),
            Question::Key(key) => Self::of_key(key, etag, mappings),
            Question::Record { place, news } => {
                let mut answer = match news {
                    Ok(Notice::Created(Created { object, copied, .. })) => {
                        Self::of_object(object, copied, etag, mappings)
                    }
                    Ok(Notice::Ignored(ignored)) => Self::of_ignored(&ignored),
                    Err(error) => Self::of_unread(error),
                };
                answer.aside.place = Some(place);
                answer
            }
        }
    }

    fn of_object(mut object: ObjectRef, copied: bool, etag: Option<&ETag>, mappings: &Mappings) -> Self {
        object.etag = object.etag.or_else(|| etag.cloned());
        let mut answer = Self::about(Some(&object));
        let followed = answer.follow(&object, copied, mappings);
        answer.end(followed);
        answer
    }

    /// A key without a bucket is one below the mapping whose folder holds it, if there is but one bucket with
    /// the deepest such folder.
    fn of_key(key: String, etag: Option<&ETag>, mappings: &Mappings) -> Self {
        let holding = buckets_holding(&key, mappings);
        if let [bucket] = holding.as_slice() {
            let bucket = (*bucket).to_owned();
            let object = ObjectRef { bucket, key, version_id: None, etag: None, size_bytes: None };
            return Self::of_object(object, false, etag, mappings);
        }
        let mut answer = Self::about(None);
        answer.etag = etag.map(ToString::to_string);
        answer.guess(&key);
        let (message, remedy) = if holding.is_empty() {
            let message = format!("no mapping has a bucket folder that holds `{key}`");
            (
                message,
                "write the whole address, s3://BUCKET/KEY; if you meant a file, there is none of this name",
            )
        } else {
            let message = format!("`{key}` is below mappings of several buckets: {}", holding.join(", "));
            (message, "write the whole address, s3://BUCKET/KEY")
        };
        answer.key = Some(key);
        answer.refuse("route.unmapped", message, remedy.to_owned());
        answer
    }

    fn of_ignored(ignored: &IgnoredEvent) -> Self {
        let mut answer = Self::about(ignored.object());
        if let IgnoredEvent::Test { bucket } = ignored {
            answer.bucket.clone_from(bucket);
        }
        answer.end(Ok(Some(Ignored { code: ignored.code(), reason: ignored.reason() })));
        answer
    }

    fn of_unread(error: EventError) -> Self {
        let mut answer = Self::about(None);
        answer.bucket = error.bucket().map(str::to_owned);
        answer.end(Err(error.into()));
        answer
    }

    /// The steps that come before anything is touched, in the order of the pipeline. What is learned on the
    /// way is noted, however it ends.
    fn follow(
        &mut self,
        object: &ObjectRef,
        copied: bool,
        mappings: &Mappings,
    ) -> Result<Option<Ignored>, StepError> {
        let landing =
            mappings.landing(&object.bucket, &object.key).inspect_err(|_| self.guess(&object.key))?;
        self.note_landing(landing);
        let meaning = key::parse(&object.key, landing.layout());
        if let Ok(KeyMeaning::Data(key)) = &meaning {
            self.note_key(key);
            self.aside.rule = landing.rule_for(&key.schema, &key.table).map(|rule| rule.to_string());
        }
        if copied && !landing.allows_copies() {
            return Err(ObjectError::Copied { object: object.to_string() }.into());
        }
        let key = match meaning? {
            KeyMeaning::Data(key) => key,
            KeyMeaning::Ignored(ignored) => {
                return Ok(Some(Ignored { code: ignored.code(), reason: ignored.reason() }));
            }
        };
        match landing.resolve(&key)? {
            Decision::Exclude { rule } => {
                Ok(Some(Ignored { code: "route.excluded", reason: format!("excluded by {rule}") }))
            }
            Decision::Load(route) => {
                self.note_route(object, &key, &route);
                Ok(None)
            }
        }
    }

    fn end(&mut self, followed: Result<Option<Ignored>, StepError>) {
        match followed {
            Ok(None) => self.ending = Ending::Load,
            Ok(Some(Ignored { code, reason })) => {
                (self.ending, self.code, self.message) = (Ending::Ignore, Some(code), Some(reason));
            }
            Err(error) => self.refuse(error.code(), Chain(&error).to_string(), error.remedy()),
        }
    }

    fn refuse(&mut self, code: &'static str, message: String, remedy: String) {
        (self.ending, self.code, self.message) = (Ending::Error, Some(code), Some(message));
        self.aside.remedy = Some(remedy);
    }

    /// What is known of an object by its mere name. How it ends is not decided yet, and counts as an error.
    fn about(object: Option<&ObjectRef>) -> Self {
        Self {
            bucket: object.map(|object| object.bucket.clone()),
            key: object.map(|object| object.key.clone()),
            etag: object.and_then(|object| object.etag.as_ref()).map(ToString::to_string),
            version_id: object.and_then(|object| object.version_id.as_ref()).map(ToString::to_string),
            kind: None,
            bucket_folder: None,
            schema: None,
            table: None,
            sequence: None,
            timestamp: None,
            date_partition: None,
            segment: None,
            destination: None,
            job_id: None,
            ending: Ending::Error,
            code: None,
            message: None,
            aside: Aside::default(),
        }
    }

    fn note_landing(&mut self, landing: &Landing) {
        self.aside.mapping_file = Some(landing.file().to_owned());
        self.aside.timezone = Some(landing.timezone().to_owned());
    }

    fn note_key(&mut self, key: &DmsKey) {
        self.kind = Some(key.file.kind());
        self.bucket_folder = Some(key.bucket_folder.clone());
        self.schema = Some(key.schema.clone());
        self.table = Some(key.table.clone());
        self.date_partition = key.date_partition.clone();
        self.segment = key.segment.clone();
        match &key.file {
            DmsFile::FullLoad { stem, sequence } => {
                self.sequence = Some(*sequence);
                self.aside.stem = Some(stem.clone());
            }
            DmsFile::Cdc { timestamp, .. } => self.timestamp = Some(timestamp.clone()),
        }
    }

    fn note_route(&mut self, object: &ObjectRef, key: &DmsKey, route: &Route) {
        self.destination = Some(route.destination.to_string());
        self.aside.location = Some(route.location.clone());
        self.job_id = object.etag.as_ref().map(|etag| {
            let version_id = object.version_id.clone();
            let object = Object::new(&object.bucket, &object.key, etag.clone(), version_id);
            JobId::new(&object, key, route, 0).to_string()
        });
    }

    /// Fills in what a key seems to mean, where no mapping says it.
    fn guess(&mut self, key: &str) {
        if let Some(guessed) = key::guess(key) {
            self.note_key(&guessed);
            self.aside.guessed = true;
        }
    }
}

/// The buckets whose mappings hold a key, of those with the deepest folder that does.
fn buckets_holding<'a>(key: &str, mappings: &'a Mappings) -> Vec<&'a str> {
    let holds = |landing: &&Landing| {
        mappings.landing(landing.bucket(), key).is_ok_and(|found| found.address() == landing.address())
    };
    let holding: Vec<&Landing> = mappings.landings().iter().filter(holds).collect();
    let folder_length = |landing: &&Landing| landing.layout().bucket_folder.len();
    let deepest = holding.iter().map(folder_length).max();
    let deepest = holding.iter().filter(|landing| Some(folder_length(landing)) == deepest);
    deepest.map(|landing| landing.bucket()).collect()
}
