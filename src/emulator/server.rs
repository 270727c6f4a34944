//! HTTP/1.1 over a socket: connections, faults, and an orderly end.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::faults::{Call, Fault, Faults};

/// The connection ends here, by a fault's order.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut by order of a test")]
struct CutByFault;

/// Accepts connections until told to stop; then lets those that are open finish their request.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    faults: Arc<dyn Faults>,
    stopping: CancellationToken,
) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(
                    stream,
                    router.clone(),
                    Arc::clone(&faults),
                    stopping.clone(),
                ));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                // Too many open files, mostly: some will be closed in a moment.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn serve_connection(
    stream: TcpStream,
    router: Router,
    faults: Arc<dyn Faults>,
    stopping: CancellationToken,
) {
    // Answers are small; without this each waits for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let service = service_fn(move |request| answer(router.clone(), Arc::clone(&faults), request));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(
    router: Router,
    faults: Arc<dyn Faults>,
    request: Request<Incoming>,
) -> Result<Response<Body>, CutByFault> {
    let call = Call {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
    };
    let mut request = request.map(Body::new);
    let mut cut = false;
    match faults.before(&call) {
        Some(Fault::CutBody { after_bytes }) => {
            cut = true;
            request = request.map(|body| cut_body(body, after_bytes));
        }
        Some(fault) => {
            if let Some(answer) = instead(fault).await? {
                return Ok(answer);
            }
        }
        None => {}
    }
    let answer = hyper::service::Service::call(&TowerToHyperService::new(router), request).await;
    let answer = answer.unwrap_or_else(|never| match never {});
    if cut {
        return Err(CutByFault);
    }
    match faults.after(&call) {
        Some(fault) => Ok(instead(fault).await?.unwrap_or(answer)),
        None => Ok(answer),
    }
}

/// What a fault answers; `None` if the request goes its way.
async fn instead(fault: Fault) -> Result<Option<Response<Body>>, CutByFault> {
    match fault {
        Fault::Cut | Fault::CutBody { .. } => Err(CutByFault),
        Fault::Delay(span) => {
            tokio::time::sleep(span).await;
            Ok(None)
        }
        Fault::Hang(span) => {
            tokio::time::sleep(span).await;
            Err(CutByFault)
        }
        Fault::Answer { status, content_type, body } => {
            let mut answer = Response::new(Body::from(body));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if let Ok(value) = content_type.parse() {
                answer.headers_mut().insert(http::header::CONTENT_TYPE, value);
            }
            Ok(Some(answer))
        }
    }
}

fn cut_body(body: Body, after_bytes: u64) -> Body {
    let mut left = usize::try_from(after_bytes).unwrap_or(usize::MAX);
    let stream = body.into_data_stream().map(move |chunk| -> Result<Bytes, axum::BoxError> {
        let chunk = chunk?;
        if left == 0 {
            return Err(CutByFault.into());
        }
        let kept = chunk.len().min(left);
        left -= kept;
        Ok(chunk.slice(..kept))
    });
    Body::from_stream(stream)
}
