//! `nhiwatch run`: the service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use rdkafka::ClientConfig;
use tokio::signal::unix::{SignalKind, signal};

use super::{config, decision};
use crate::config::{Config, Start};
use crate::failure::Failure;
use crate::http::{self, Health};
use crate::inventory::Inventory;
use crate::kafka::{intake, settings, topics, watch};
use crate::loss::Loss;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::shard::cache::Directory;
use crate::sources::Sources;

/// Run the service
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The configuration file; without one the defaults hold
    #[arg(long, short, env = "NHIWATCH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on where records were deleted before they were read, where committed offsets are gone, or where the stored state
    /// and the log contradict each other: with the first record that is still there, or with the newest. Without it
    /// nhiwatch refuses to go on. It holds once for each partition; leave it out again at the next start
    #[arg(long, env = "NHIWATCH_ACCEPT_DATA_LOSS", value_name = "WHERE")]
    accept_data_loss: Option<Start>,
}

/// Runs until SIGTERM or SIGINT, then commits what is open and ends.
///
/// # Errors
/// Where the configuration is invalid, the address for metrics is taken, or a thread fails for good.
pub fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let config = config(args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::Environment(format!("cannot start: {error}")))?;
    let mut service = service(config)?;
    service.loss = Arc::new(Loss::accepting(args.accept_data_loss));
    service.cache = state_cache(&service.config)?;
    let listener = runtime.block_on(http::bind(service.config.http.listen))?;
    tracing::info!(
        metrics = %service.config.http.listen,
        brokers = service.config.kafka.brokers,
        decision = service.decision.digest(),
        "nhiwatch starts"
    );
    let (metrics, health) = (service.metrics.clone(), Arc::clone(&service.health));
    let server = runtime.spawn(http::serve_on(
        listener,
        metrics,
        health,
        std::future::pending(),
    ));
    let stop = Arc::clone(&service.stop);
    runtime.spawn(async move {
        match (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) {
            (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            },
            _ => std::future::pending().await,
        }
        stop.store(true, Ordering::Release);
    });
    let outcome = match runtime.block_on(wait_for_topics(&service)) {
        Ok(true) => threads(&service),
        other => other.map(drop),
    };
    server.abort();
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What the threads of a process that follows `config` share.
///
/// # Errors
/// Where the calendars, the inventory, the mappings or the metrics cannot be made.
pub fn service(config: Config) -> Result<Service, Failure> {
    let inventory = Inventory::load(config.inventory.as_deref())?;
    let sources = Sources::load(None)?;
    Ok(Service {
        decision: decision(&config, &sources)?,
        loss: Arc::default(),
        cache: None,
        sources: Arc::new(sources),
        inventory: Arc::new(inventory),
        metrics: Metrics::new()
            .map_err(|error| Failure::Environment(format!("cannot make metrics: {error}")))?,
        health: Arc::new(Health::default()),
        stop: Arc::new(AtomicBool::new(false)),
        config: Arc::new(config),
    })
}

/// The folder where the state is kept on local disk as well, if one is configured.
fn state_cache(config: &Config) -> Result<Option<Arc<Directory>>, Failure> {
    let Some(path) = config.kafka.state_cache.as_deref() else {
        return Ok(None);
    };
    let taken = Directory::take(path, &config.topics.state);
    let taken = taken.map_err(|error| {
        Failure::Environment(format!(
            "cannot use {} for the state cache: {error}; `kafka.state_cache` must be a folder of this instance's own \
             that it may write to, or null",
            path.display()
        ))
    });
    taken.map(|directory| Some(Arc::new(directory)))
}

/// Waits until Kafka answers and its topics are as needed; tells whether they are, or we are to end.
async fn wait_for_topics(service: &Service) -> Result<bool, Failure> {
    let client = settings::client(&service.config.kafka)?;
    let mut pause = Duration::from_millis(500);
    while !service.stopping() {
        // Whoever is asked may not answer, and meanwhile we may be told to end.
        let (client, config) = (client.clone(), Arc::clone(&service.config));
        let asking = tokio::task::spawn_blocking(move || found(&client, &config));
        let found = tokio::select! {
            answer = asking => answer.map_err(|error| Failure::Environment(error.to_string()))?,
            () = stopped(service) => break,
        };
        let obstacle = match found {
            Ok(found) => {
                let wanted = topics::wanted(&service.config);
                topics::faults(&service.config, &wanted, &found).join("; ")
            }
            Err(error) => error.to_string(),
        };
        if obstacle.is_empty() {
            return Ok(true);
        }
        tracing::warn!(obstacle, retry_in = ?pause, "not ready");
        service.health.set_unready(START, obstacle);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopped(service) => {}
        }
        pause = (pause * 2).min(Duration::from_secs(15));
    }
    Ok(false)
}

/// The topics that are there of those that `config` needs.
fn found(client: &ClientConfig, config: &Config) -> Result<Vec<topics::Found>, Failure> {
    let wanted = topics::wanted(config);
    let asking = topics::found(client, &wanted, &config.kafka.brokers);
    tokio::runtime::Handle::current().block_on(asking)
}

/// Waits until the service is to end.
async fn stopped(service: &Service) {
    while !service.stopping() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs the threads that do the work, until all have ended.
fn threads(service: &Service) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let shards = if service.config.roles.watch {
            service.config.kafka.shards
        } else {
            0
        };
        let starting = |part: &str| service.health.set_unready(part, "starting");
        let mut threads = Vec::new();
        for number in 0..shards {
            starting(&watch::part(number));
            threads.push(scope.spawn(move || watch::run(service, number)));
        }
        if service.config.roles.intake {
            starting(intake::PART);
            threads.push(scope.spawn(|| intake::run(service)));
        }
        service.health.set_ready(START);
        let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let panicked = |_| Err(Failure::Environment("a thread failed".to_owned()));
        outcomes
            .into_iter()
            .try_for_each(|outcome| outcome.unwrap_or_else(panicked))
    })
}

/// What the time before the threads run is called where the service says what it waits for.
const START: &str = "start";
