//! Metrics and health over HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::metrics::Metrics;

/// Whether the process does its work, and if not, why.
#[derive(Debug)]
pub struct Health {
    ready: AtomicBool,
    reason: Mutex<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            ready: AtomicBool::new(false),
            reason: Mutex::new("starting".into()),
        }
    }
}

impl Health {
    /// The process does its work.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// The process does not do its work, for this reason.
    pub fn set_unready(&self, reason: impl Into<String>) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason.into();
        self.ready.store(false, Ordering::Release);
    }

    /// Nothing where the process does its work, else why it does not.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        (!self.ready.load(Ordering::Acquire)).then(|| {
            self.reason
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        })
    }
}

/// Serves `/metrics`, `/healthz` and `/readyz` until `shutdown` completes.
///
/// # Errors
///
/// Where `listen` cannot be bound, or serving fails.
pub async fn serve(
    listen: SocketAddr,
    metrics: Metrics,
    health: Arc<Health>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    serve_on(bind(listen).await?, metrics, health, shutdown).await
}

/// A socket on `listen`, for [`serve_on`]; binding first shows a taken port before any work begins.
///
/// # Errors
///
/// Where it cannot be bound.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        Failure::Environment(format!(
            "cannot listen on {listen}: {error}; choose another address with `http.listen`"
        ))
    })
}

/// As [`serve`], on a socket bound already.
///
/// # Errors
///
/// Where serving fails.
pub async fn serve_on(
    listener: TcpListener,
    metrics: Metrics,
    health: Arc<Health>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let routes = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(show_ready))
        .with_state((metrics, health));
    axum::serve(listener, routes)
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(|error| Failure::Environment(format!("serving metrics failed: {error}")))
}

type Shared = (Metrics, Arc<Health>);

async fn show_metrics(State((metrics, health)): State<Shared>) -> impl IntoResponse {
    metrics.ready(health.obstacle().is_none());
    match metrics.render() {
        Ok(text) => Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

async fn show_ready(State((_, health)): State<Shared>) -> (StatusCode, String) {
    match health.obstacle() {
        None => (StatusCode::OK, "ready\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_three_pages_answer_and_nothing_but_get_is_allowed() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Arc::new(Health::default());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let metrics = Metrics::new().unwrap();
        let shutdown = async move { drop(stopped.await) };
        let server = tokio::spawn(serve_on(listener, metrics, health.clone(), shutdown));

        let (answers, health) = tokio::task::spawn_blocking(move || {
            let starting = ask(address, "GET /readyz");
            health.set_ready();
            let ready = ask(address, "GET /readyz");
            let shown = ask(address, "GET /metrics");
            health.set_unready("restoring 3 of 6 partitions");
            let restoring = ask(address, "GET /readyz");
            let rest = [ask(address, "GET /healthz"), ask(address, "POST /metrics")];
            (
                [starting, ready, shown, restoring]
                    .into_iter()
                    .chain(rest)
                    .collect::<Vec<_>>(),
                health,
            )
        })
        .await
        .unwrap();
        for (answer, (status, part)) in answers.iter().zip([
            (503, "starting\n"),
            (200, "ready\n"),
            (200, "\nnhiwatch_ready 1\n"),
            (503, "restoring 3 of 6 partitions\n"),
            (200, "alive\n"),
            (405, ""),
        ]) {
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            assert!(answer.contains(part), "{answer}");
        }
        assert_eq!(
            health.obstacle().as_deref(),
            Some("restoring 3 of 6 partitions")
        );
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_key() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = taken.local_addr().unwrap();
        let failure = bind(address).await.unwrap_err().to_string();
        assert!(failure.contains(&address.to_string()), "{failure}");
        assert!(failure.contains("http.listen"), "{failure}");
    }
}
