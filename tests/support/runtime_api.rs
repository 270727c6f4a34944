//! A small Lambda Runtime API
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>): it hands events to a real process and keeps what
//! the process answers.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// What the process answered to an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// A response.
    Response(Value),
    /// An error of the invocation: its type and message.
    Error { error_type: String, message: String },
    /// The process could not start.
    InitError(String),
}

/// A function in its environment: the API, and the process that it drives.
pub(crate) struct Function {
    events: mpsc::Sender<Event>,
    answers: Mutex<mpsc::Receiver<(String, Answer)>>,
    invocations: AtomicU64,
    serving: JoinHandle<()>,
    process: Child,
    output: NamedTempFile,
}

struct Event {
    id: String,
    deadline_ms: u64,
    payload: String,
}

struct Api {
    events: Mutex<mpsc::Receiver<Event>>,
    answers: mpsc::Sender<(String, Answer)>,
}

/// How long after its deadline an answer is waited for; only a process that is stuck gets there.
const PATIENCE: Duration = Duration::from_secs(60);

impl Function {
    /// Starts a program with an environment of its own, nothing inherited.
    pub(crate) async fn start(program: &str, environment: &BTreeMap<&str, String>) -> Self {
        let (events, events_to_give) = mpsc::channel(16);
        let (answers_to_keep, answers) = mpsc::channel(16);
        let api = Arc::new(Api { events: Mutex::new(events_to_give), answers: answers_to_keep });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("a server") });
        let output = NamedTempFile::new().expect("a file");
        // One open file for both, so that they share the place where the next line goes.
        let lines = output.reopen().expect("a file");
        let process = Command::new(program)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "dms2bq")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(lines.try_clone().expect("a file"))
            .stderr(lines)
            .spawn()
            .expect("the program starts");
        let invocations = AtomicU64::new(0);
        Self { events, answers: Mutex::new(answers), invocations, serving, process, output }
    }

    /// Hands an event over and waits for the answer to it. The function has `time` for it.
    pub(crate) async fn invoke(&self, event: &Value, time: Duration) -> Answer {
        self.invoke_text(event.to_string(), time).await
    }

    /// The same for an event that is not to be held as JSON: nested too deeply, or none.
    pub(crate) async fn invoke_text(&self, payload: String, time: Duration) -> Answer {
        let id = format!("invocation-{}", self.invocations.fetch_add(1, Ordering::Relaxed));
        let deadline_ms = unix_ms() + u64::try_from(time.as_millis()).expect("a short time");
        let event = Event { id: id.clone(), deadline_ms, payload };
        self.events.send(event).await.expect("the API is up");
        let mut answers = self.answers.lock().await;
        let answer = tokio::time::timeout(time + PATIENCE, answers.recv()).await;
        let (answered_id, answer) = answer
            .unwrap_or_else(|_| panic!("no answer; its output:\n{}", self.output()))
            .expect("the API is up");
        assert!(answered_id == id || matches!(answer, Answer::InitError(_)), "{answered_id} is not {id}");
        answer
    }

    /// The most memory that the process has held so far, as Linux counts it.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends the process by SIGKILL, if it has not ended by itself, and gives all that it has written.
    pub(crate) fn end(mut self) -> String {
        self.stop();
        self.output()
    }

    fn stop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        self.serving.abort();
    }

    /// All that the process has written so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.output.path()).expect("UTF-8")
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The time of day, in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a deadline of Lambda is a time of day")]
pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since_1970.as_millis()).expect("a clock before the year 584,556,019")
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    match api.events.lock().await.recv().await {
        Some(event) => {
            let headers = [
                ("Lambda-Runtime-Aws-Request-Id", event.id),
                ("Lambda-Runtime-Deadline-Ms", event.deadline_ms.to_string()),
                (
                    "Lambda-Runtime-Invoked-Function-Arn",
                    "arn:aws:lambda:us-east-1:111122223333:function:dms2bq".into(),
                ),
                ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".into()),
            ];
            (headers, event.payload).into_response()
        }
        None => StatusCode::GONE.into_response(),
    }
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: String) -> StatusCode {
    let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
    keep(&api, id, Answer::Response(value)).await
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: String) -> StatusCode {
    let value: Value = serde_json::from_str(&body).expect("an error is JSON");
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    keep(&api, id, Answer::Error { error_type: text("errorType"), message: text("errorMessage") }).await
}

async fn init_error(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    keep(&api, String::new(), Answer::InitError(body)).await
}

async fn keep(api: &Api, id: String, answer: Answer) -> StatusCode {
    match api.answers.send((id, answer)).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}
