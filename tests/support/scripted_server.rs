//! A server that answers every request with the same bytes, whatever they are: for what real servers say on bad days.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Pieces of an answer and the pauses before them. After the last the connection is closed.
pub(crate) type Script = Vec<(Duration, Vec<u8>)>;

/// The server. It ends when it is dropped.
pub(crate) struct ScriptedServer {
    address: SocketAddr,
    listening: JoinHandle<()>,
}

impl ScriptedServer {
    /// Listens on a free port of the loopback and plays the script to each request, one to a connection.
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let listening = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(play(connection, script.clone()));
            }
        });
        Self { address, listening }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// A client that hangs up early has its reasons, so failures to write are not failures of the test.
async fn play(mut connection: TcpStream, script: Script) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    for (pause, bytes) in script {
        tokio::time::sleep(pause).await;
        if connection.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
