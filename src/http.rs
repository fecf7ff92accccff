//! Metrics and health over HTTP.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::metrics::Metrics;

/// Whether the process does its work, and if not, which part of it does not, and why.
#[derive(Debug)]
pub struct Health(Mutex<BTreeMap<String, String>>);

impl Default for Health {
    /// Not ready: whoever starts the parts says so with [`Health::set_ready`] for `start`.
    fn default() -> Self {
        let starting = ("start".to_owned(), "starting".to_owned());
        Self(Mutex::new(BTreeMap::from([starting])))
    }
}

impl Health {
    /// `part` does its work.
    pub fn set_ready(&self, part: &str) {
        self.obstacles().remove(part);
    }

    /// `part` does not do its work, for this reason.
    pub fn set_unready(&self, part: &str, reason: impl Into<String>) {
        self.obstacles().insert(part.to_owned(), reason.into());
    }

    /// Nothing where every part does its work, else which does not and why.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let obstacles = self.obstacles();
        let named = obstacles
            .iter()
            .map(|(part, reason)| format!("{part}: {reason}"));
        Some(named.collect::<Vec<_>>().join("; ")).filter(|all| !all.is_empty())
    }

    fn obstacles(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// Serves `/metrics`, `/healthz` and `/readyz` on `listener` until `shutdown` completes.
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
            health.set_ready("start");
            let ready = ask(address, "GET /readyz");
            let shown = ask(address, "GET /metrics");
            health.set_unready("shard 0", "restoring");
            health.set_unready("intake", "no broker");
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
            (503, "start: starting\n"),
            (200, "ready\n"),
            (200, "\nnhiwatch_ready 1\n"),
            (503, "intake: no broker; shard 0: restoring\n"),
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
            Some("intake: no broker; shard 0: restoring")
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
