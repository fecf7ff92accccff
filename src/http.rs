//! Metrics and health over HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::time::{Timeout, timeout};

use crate::failure::Failure;
use crate::metrics::Metrics;

/// Whether the process does its work, and if not, which part of it does not, and why.
#[derive(Debug)]
pub struct Health(Mutex<BTreeMap<String, Obstacle>>);

/// What keeps a part from its work.
#[derive(Debug)]
struct Obstacle {
    reason: String,
    /// From when on.
    from: Instant,
}

impl Default for Health {
    /// Not ready: whoever starts the parts says so with [`Health::set_ready`] for `start`.
    fn default() -> Self {
        let health = Self(Mutex::default());
        health.set_unready("start", "starting");
        health
    }
}

impl Health {
    /// `part` does its work.
    pub fn set_ready(&self, part: &str) {
        self.obstacles().remove(part);
    }

    /// `part` does not do its work, for this reason.
    pub fn set_unready(&self, part: &str, reason: impl Into<String>) {
        let (reason, from) = (reason.into(), Instant::now());
        self.obstacles()
            .insert(part.to_owned(), Obstacle { reason, from });
    }

    /// `part`, which does its work, waits for something: where that takes longer than `time`, and it does not
    /// say before that it is ready again, it does not do its work, for this reason.
    pub fn set_waiting(&self, part: &str, reason: &str, time: Duration) {
        let mut obstacles = self.obstacles();
        if !obstacles.contains_key(part) {
            let (reason, from) = (reason.to_owned(), Instant::now() + time);
            obstacles.insert(part.to_owned(), Obstacle { reason, from });
        }
    }

    /// Nothing where every part does its work, else which does not and why.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let (obstacles, now) = (self.obstacles(), Instant::now());
        let named = obstacles
            .iter()
            .filter(|(_, obstacle)| obstacle.from <= now)
            .map(|(part, obstacle)| format!("{part}: {}", obstacle.reason));
        Some(named.collect::<Vec<_>>().join("; ")).filter(|all| !all.is_empty())
    }

    fn obstacles(&self) -> MutexGuard<'_, BTreeMap<String, Obstacle>> {
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
    axum::serve(Few::of(listener), routes)
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(|error| Failure::Environment(format!("serving metrics failed: {error}")))
}

/// A listener that has few connections open at once, and none for long: who connects and says nothing
/// must not use up the files the process may open, nor keep a probe waiting.
struct Few {
    listener: TcpListener,
    /// The connections that are open, oldest first: one ends when its place is dropped.
    places: VecDeque<Sender<()>>,
}

impl Few {
    const fn of(listener: TcpListener) -> Self {
        let places = VecDeque::new();
        Self { listener, places }
    }
}

impl Listener for Few {
    type Io = Brief;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.places.retain(|place| !place.is_closed());
        if self.places.len() >= CONNECTIONS {
            self.places.pop_front();
        }
        let (place, dropped) = channel();
        self.places.push_back(place);
        let io = Brief {
            stream,
            end: Box::pin(timeout(LIFETIME, dropped)),
            over: false,
        };
        (io, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after [`LIFETIME`] or when its place is given to another, whatever it waits for.
struct Brief {
    stream: TcpStream,
    end: Pin<Box<Timeout<Receiver<()>>>>,
    over: bool,
}

impl Brief {
    fn over(&mut self, context: &mut Context<'_>) -> bool {
        self.over = self.over || self.end.as_mut().poll(context).is_ready();
        self.over
    }
}

fn timed_out<T>() -> Poll<std::io::Result<T>> {
    Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for Brief {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.over(context) {
            return timed_out();
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Brief {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.over(context) {
            return timed_out();
        }
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Connections at once; the oldest gives way to the next.
const CONNECTIONS: usize = 64;
/// How long one may last: a scrape takes milliseconds.
const LIFETIME: Duration = Duration::from_secs(10);

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

    #[test]
    fn who_waits_for_too_long_does_not_do_its_work() {
        let health = Health::default();
        health.set_ready("start");
        health.set_waiting("shard 0", "a commit does not end", Duration::from_secs(60));
        assert_eq!(health.obstacle(), None);
        health.set_ready("shard 0");
        health.set_waiting("shard 0", "a commit does not end", Duration::ZERO);
        let obstacle = Some("shard 0: a commit does not end".to_owned());
        assert_eq!(health.obstacle(), obstacle);
        health.set_waiting("shard 0", "another", Duration::ZERO);
        assert_eq!(health.obstacle(), obstacle, "the first reason stays");
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_connects_and_says_nothing_keeps_nobody_out() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Arc::new(Health::default());
        let metrics = Metrics::new().unwrap();
        let server = tokio::spawn(serve_on(listener, metrics, health, std::future::pending()));
        let answer = tokio::task::spawn_blocking(move || {
            let silent: Vec<TcpStream> = (0..=CONNECTIONS)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            let asked = Instant::now();
            let answer = ask(address, "GET /healthz");
            let taken = asked.elapsed();
            drop(silent);
            (answer, taken)
        });
        let (answer, taken) = answer.await.unwrap();
        assert!(answer.contains("alive"), "{answer}");
        assert!(taken < LIFETIME / 2, "{taken:?}");
        server.abort();
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
