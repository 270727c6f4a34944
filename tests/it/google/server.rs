//! A server on loopback that answers as a script says, and breaks connections on purpose.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    headers: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn announced_bytes(&self) -> usize {
        self.header("content-length").map_or(0, |value| value.parse().expect("a number"))
    }
}

/// How much of a request's body is read before it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    Whole,
    /// So many bytes, and then the answer.
    Only(usize),
    /// The whole, a little at a time.
    Slowly {
        piece_bytes: usize,
        pause: Duration,
    },
}

/// What follows a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The connection is reset.
    Reset,
    /// An answer that announces more than it sends.
    Truncated {
        status: u16,
        body: String,
    },
    /// Nothing, and the connection stays open.
    Silence,
}

impl Reply {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub(super) fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self::Answer { status, headers, body: body.to_owned() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

/// What the server does. Requests of all connections come to it one at a time.
pub(super) trait Script: Send + 'static {
    /// Looks at a request whose body has not been read.
    fn reading(&mut self, _head: &Request) -> Reading {
        Reading::Whole
    }

    /// Answers a request.
    fn reply(&mut self, request: &Request) -> Reply;
}

/// The replies, in order; the last is repeated.
impl Script for Vec<Reply> {
    fn reply(&mut self, _request: &Request) -> Reply {
        if self.len() > 1 { self.remove(0) } else { self.first().cloned().expect("a script has a reply") }
    }
}

/// A script in one function.
pub(super) struct Scripted<F>(pub(super) F);

impl<F: FnMut(&Request) -> Reply + Send + 'static> Script for Scripted<F> {
    fn reply(&mut self, request: &Request) -> Reply {
        (self.0)(request)
    }
}

/// A running server. It ends when it is dropped.
pub(super) struct Server {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(script: impl Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, script) = (Arc::clone(&requests), Arc::new(Mutex::new(script)));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { url, requests, task }
    }

    /// What came so far, in the order in which it was answered.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics while it holds this").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<impl Script>>, seen: Arc<Mutex<Vec<Request>>>) {
    while let Some(mut request) = read_head(&mut stream).await {
        let reading = script.lock().expect("a script does not panic").reading(&request);
        if read_body(&mut stream, &mut request, reading).await.is_none() {
            return;
        }
        let reply = script.lock().expect("a script does not panic").reply(&request);
        seen.lock().expect("no test panics while it holds this").push(request);
        if answer(&mut stream, reply).await.is_none() {
            return;
        }
    }
}

/// Reads up to the empty line, a byte at a time: what follows stays in the socket.
async fn read_head(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let mut lines = head.lines();
    let mut first = lines.next().expect("a first line").split(' ');
    let (method, target) = (first.next().expect("a method"), first.next().expect("a target"));
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = lines.filter_map(header).collect();
    Some(Request { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() })
}

async fn read_body(stream: &mut TcpStream, request: &mut Request, reading: Reading) -> Option<()> {
    let announced = request.announced_bytes();
    let wanted = match reading {
        Reading::Whole | Reading::Slowly { .. } => announced,
        Reading::Only(bytes) => bytes.min(announced),
    };
    let (piece_bytes, pause) = match reading {
        Reading::Slowly { piece_bytes, pause } => (piece_bytes, Some(pause)),
        Reading::Whole | Reading::Only(_) => (256 * 1024, None),
    };
    let mut piece = vec![0; piece_bytes];
    while request.body.len() < wanted {
        let most = piece_bytes.min(wanted - request.body.len());
        let read = stream.read(&mut piece[..most]).await.ok().filter(|read| *read > 0)?;
        request.body.extend_from_slice(&piece[..read]);
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    Some(())
}

/// Answers; `None` if the connection ends with that.
async fn answer(stream: &mut TcpStream, reply: Reply) -> Option<()> {
    match reply {
        Reply::Answer { status, headers, body } => {
            let mut text = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
            }
            stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.ok()
        }
        Reply::Reset => {
            stream.set_zero_linger().expect("a socket can be told");
            None
        }
        Reply::Truncated { status, body } => {
            let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n\r\n", body.len() + 100);
            stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
            None
        }
        Reply::Silence => {
            let mut byte = [0];
            while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
            None
        }
    }
}
