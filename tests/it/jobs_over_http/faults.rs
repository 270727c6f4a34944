//! What goes wrong with which call, in words that a case can hold, and a log of what was asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dms2bq::emulator::{Call, Fault, Faults, JobFault};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long a `late` answer takes, and how long a connection `hangs`: longer than the patience of the cases that use it.
const LATE: Duration = Duration::from_secs(6);

/// A fault, as a case spells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultSpec {
    /// The call: `insert`, `open`, `put`, `table`, `get 0`, or `get` for any attempt.
    pub(super) to: String,
    /// `cut`, `hangs`, `late`, `502 html`, or status, reason and message: `403 accessDenied: why`.
    #[serde(default)]
    pub(super) with: String,
    /// Instead of `with`: a 200 with the job's resource, and these fields of it replaced.
    pub(super) job: Option<Value>,
    /// Once the work is done, instead of before it.
    #[serde(default)]
    pub(super) after: bool,
    /// So many calls pass first.
    #[serde(default)]
    pub(super) spares: u32,
    /// How many calls it spoils; all, if it is 0.
    #[serde(default = "once")]
    pub(super) times: u32,
}

fn once() -> u32 {
    1
}

/// Spoils calls as it is told, and notes all of them.
#[derive(Default)]
pub(super) struct Script {
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    faults: Vec<FaultSpec>,
    /// The job as it would be if it had succeeded, by attempt.
    jobs: BTreeMap<u32, Value>,
    failures: BTreeMap<u32, String>,
    asked: Option<Vec<String>>,
    spoilt: usize,
}

impl Script {
    /// From now on these faults come true, and calls are noted.
    pub(super) fn begin(&self, faults: Vec<FaultSpec>, jobs: BTreeMap<u32, Value>) {
        let mut content = self.lock();
        (content.faults, content.jobs) = (faults, jobs);
        (content.asked, content.spoilt) = (Some(Vec::new()), 0);
    }

    /// Nothing goes wrong any more. Tells what was asked, repetitions as one, and how many calls were spoilt.
    pub(super) fn end(&self) -> (String, usize) {
        let mut content = self.lock();
        content.faults.clear();
        let mut asked = content.asked.take().unwrap_or_default();
        asked.dedup();
        (asked.join(", "), content.spoilt)
    }

    /// Whether a call was made since the receive began.
    pub(super) fn was_asked(&self, name: &str) -> bool {
        self.lock().asked.as_ref().is_some_and(|asked| asked.iter().any(|call| call == name))
    }

    /// Jobs of these attempts fail with these reasons.
    pub(super) fn fail_jobs(&self, failures: BTreeMap<u32, String>) {
        self.lock().failures = failures;
    }

    fn spoil(&self, call: &Call, after: bool) -> Option<Fault> {
        let name = name_of(call)?;
        let mut content = self.lock();
        let asked = content.asked.as_mut()?;
        if !after {
            asked.push(name.clone());
        }
        let matches = |fault: &FaultSpec| {
            fault.after == after && (fault.to == name || name.starts_with(&format!("{} ", fault.to)))
        };
        let n = content.faults.iter().position(matches)?;
        let fault = content.faults.get_mut(n)?;
        if fault.spares > 0 {
            fault.spares -= 1;
            return None;
        }
        let fault = fault.clone();
        match fault.times {
            0 => {}
            1 => drop(content.faults.remove(n)),
            _ => content.faults[n].times -= 1,
        }
        content.spoilt += 1;
        let job = content.jobs.get(&attempt_of(&name).unwrap_or_default());
        Some(fault.into_fault(job))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults for Script {
    fn before(&self, call: &Call) -> Option<Fault> {
        self.spoil(call, false)
    }

    fn after(&self, call: &Call) -> Option<Fault> {
        self.spoil(call, true)
    }

    fn job(&self, job_id: &str) -> Option<JobFault> {
        let attempt = job_id.rsplit('_').next()?.parse().ok()?;
        let reason = self.lock().failures.get(&attempt)?.clone();
        Some(JobFault { reason, message: "of the case".to_owned() })
    }
}

impl FaultSpec {
    /// Spoils every call of a name.
    pub(super) fn always(to: &str, with: &str) -> Self {
        let (to, with) = (to.to_owned(), with.to_owned());
        Self { to, with, job: None, after: false, spares: 0, times: 0 }
    }

    fn into_fault(self, job: Option<&Value>) -> Fault {
        if let Some(changes) = self.job {
            let mut resource =
                job.expect("a fault that answers with a job is for a call that names one").clone();
            merge(&mut resource, &changes);
            return json_answer(200, &resource);
        }
        let (word, rest) = self.with.split_once(' ').unwrap_or((&self.with, ""));
        match (word, rest) {
            ("cut", "") => Fault::Cut,
            ("hangs", "") => Fault::Hang(LATE),
            ("late", "") => Fault::Delay(LATE),
            ("cut", body) => {
                let after_bytes = body.strip_prefix("body ").and_then(|bytes| bytes.parse().ok());
                Fault::CutBody { after_bytes: after_bytes.expect("a number of bytes") }
            }
            (status, "html") => Fault::Answer {
                status: status.parse().expect("a status"),
                content_type: "text/html".to_owned(),
                body: format!("<html><head><title>{status} of a proxy</title></head></html>"),
            },
            (status, "empty") => Fault::Answer {
                status: status.parse().expect("a status"),
                content_type: "text/plain".to_owned(),
                body: String::new(),
            },
            (status, rest) => {
                let status = status.parse().unwrap_or_else(|_| panic!("no such fault: {}", self.with));
                let (reason, message) = rest.split_once(": ").unwrap_or((rest, "of the case"));
                json_answer(status, &error(status, reason, message))
            }
        }
    }
}

fn json_answer(status: u16, body: &Value) -> Fault {
    Fault::Answer { status, content_type: "application/json".to_owned(), body: body.to_string() }
}

fn error(status: u16, reason: &str, message: &str) -> Value {
    let errors = json!([{ "reason": reason, "message": message, "domain": "global" }]);
    json!({ "error": { "code": status, "message": message, "errors": errors } })
}

/// Replaces fields, in depth; `null` removes one (RFC 7396).
pub(super) fn merge(target: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        target.clone_from(changes);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().expect("it is an object by now");
    for (name, change) in changes {
        match change {
            Value::Null => drop(fields.remove(name)),
            _ => merge(fields.entry(name.clone()).or_insert(Value::Null), change),
        }
    }
}

/// A call's name in a case; `None` for calls that a load does not make.
pub(super) fn name_of(call: &Call) -> Option<String> {
    let is_upload = call.path.starts_with("/upload/");
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let name = match (call.method.as_str(), &parts[..]) {
        ("POST", _) if is_upload && call.query.contains("uploadType=multipart") => "insert".to_owned(),
        ("POST", _) if is_upload => "open".to_owned(),
        ("PUT", _) if is_upload => "put".to_owned(),
        ("DELETE", _) if is_upload => "cancel".to_owned(),
        ("GET", [.., "jobs", id]) => format!("get {}", id.rsplit('_').next()?),
        ("GET", [.., "tables", _]) => "table".to_owned(),
        _ => return None,
    };
    Some(name)
}

fn attempt_of(name: &str) -> Option<u32> {
    name.split_once(' ')?.1.parse().ok()
}
