//! Connections: accepted, served, and ended when the server stops.
//!
//! `axum::serve` has no limit for a header and none for a drain. HTTP/1.1 only: browsers speak HTTP/2 only over TLS, which
//! is the business of a proxy before this server.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a client may take to send a request's header.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a request's header.
const HEADER_BYTES: usize = 32 * 1024;
/// How long open requests may go on when the server stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// When there are no more file descriptors, some connection has to end first.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves every connection until `stop`, then lets open requests end.
///
/// # Errors
/// When the listener cannot be used.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(HEADER_BYTES);
    let service = TowerToHyperService::new(router);
    let draining = GracefulShutdown::new();
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            Some(_) = open.join_next() => continue,
            () = stop.cancelled() => break,
        };
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let connection = draining.watch(connection);
        open.spawn(async move {
            if let Err(error) = connection.await {
                // Clients go away, and send what is no HTTP.
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, draining.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still open and are cut off");
    }
    open.shutdown().await;
    Ok(())
}

/// The next connection; a client that went away meanwhile is none.
async fn accept(listener: &tokio::net::TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Events are small, and are to be seen at once; without it they only come later.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {}
                _ => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}
