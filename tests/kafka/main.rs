//! The service on a real Kafka: from raw logs to alerts, exactly once, whatever kills it.
//!
//! Takes the broker named in `NHIWATCH_TEST_BROKERS`, else starts two through `scripts/kafka`, on which tests run side by
//! side. Where neither is possible the suite says so and passes, except under `CI=true`, where it fails.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod bank;
mod beginnings;
mod broker;
mod churn;
mod closing;
mod copies;
mod faults;
mod giants;
mod intake;
mod kills;
mod losses;
mod pair;
#[path = "../poison/mod.rs"]
mod poison;
mod proxy;
mod quiet;
mod rights;
mod service;
mod sharing;
mod topics;
mod traces;
mod trickle;
mod undecided;
mod watch;
