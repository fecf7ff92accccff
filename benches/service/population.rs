//! Events of as many identities as are asked for, each known already when the clock starts.

use anyhow::{Result, bail};

use super::measure::{Work, fill, null, restart, serve, weigh};
use super::{Bench, say};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform, Zipf};

/// Measures so many `events` of as many identities as each of `sizes` says, and a restart after them.
pub(crate) fn measure(bench: &Bench, events: usize, sizes: &[usize]) -> Result<()> {
    say(&format!(
        "\n{events} events of identities that are all known\n\n| identities | who acts | bytes of an event | null, events/s | \
         shard, events/s | ratio | share of time in commits | bytes of state per event | state records | restart, s |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    ));
    for size in sizes {
        for (skew, shape) in Skew::ALL
            .into_iter()
            .flat_map(|skew| Shape::ALL.map(|shape| (skew, shape)))
        {
            let records = population(*size, events, skew, shape)?;
            let topics = bench.topics(&records, Work::Watch, "")?;
            let (client, service, count) = (&topics.client, &topics.service, records.len());
            let null = null(client, topics.input(), count, service, Work::Watch)?;
            let served = serve(service, Work::Watch, *size, count)?;
            let (bytes, stored) = weigh(client, &service.config.topics.state)?;
            fill(client, topics.input(), &records[..1])?;
            let seconds = restart(&bench.service(&topics.name, Work::Watch, "")?)?;
            say(&format!(
                "| {size} | {} | {} | {:.0} | {:.0} | {:.2} | {:.0} % | {:.0} | {stored} | {seconds:.1} |",
                skew.word(),
                records.iter().map(|(_, json)| json.len()).sum::<usize>() / count,
                null.rate,
                served.rate,
                served.rate / null.rate,
                served.commits * 100.0,
                bytes as f64 / count as f64,
            ));
            topics.delete()?;
        }
    }
    Ok(())
}

/// Who acts next.
#[derive(Clone, Copy)]
pub(crate) enum Skew {
    /// Anybody.
    Uniform,
    /// The busiest twice as often as the second, three times as often as the third.
    Zipf,
    /// The same one in nine cases of ten, else anybody.
    One,
}

impl Skew {
    pub(crate) const ALL: [Self; 3] = [Self::Uniform, Self::Zipf, Self::One];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "Zipf",
            Self::One => "one, nine times of ten",
        }
    }
}

/// How much an event says.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Six fields.
    Bare,
    /// What an audit log says of a call.
    Full,
}

impl Shape {
    const ALL: [Self; 2] = [Self::Bare, Self::Full];
}

/// One event of each of so many `identities`, then `events` more; ten thousand a second in event time.
pub(crate) fn population(
    identities: usize,
    events: usize,
    skew: Skew,
    shape: Shape,
) -> Result<Vec<(String, String)>> {
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let n = identities as f64;
    let (uniform, zipf) = match (Uniform::new(0.0, n), Zipf::new(n, 1.0)) {
        (Ok(uniform), Ok(zipf)) => (uniform, zipf),
        _ => bail!("{identities} identities are no population"),
    };
    let mut who = || match skew {
        Skew::Uniform => uniform.sample(&mut dice) as usize,
        Skew::Zipf => zipf.sample(&mut dice) as usize - 1,
        Skew::One if dice.random_bool(0.9) => 0,
        Skew::One => uniform.sample(&mut dice) as usize,
    };
    let first = (0..identities).collect::<Vec<_>>().into_iter();
    let all: Vec<usize> = first.chain((0..events).map(|_| who())).collect();
    let event = |(at, who): (usize, &usize)| {
        let (identity, action) = (format!("svc-{who:07}"), ACTIONS[(at + who) % ACTIONS.len()]);
        let ts = START + at as f64 / 1e4;
        let rest = match shape {
            Shape::Bare => String::new(),
            Shape::Full => full(*who),
        };
        let json = format!(
            r#"{{"ts":{ts:.4},"uid":"{at}","identity":"{identity}","action":"{action}","class":"read","outcome":"ok"{rest}}}"#
        );
        (identity, json)
    };
    Ok(all.iter().enumerate().map(event).collect())
}

/// What else an audit log says of an event of `who`.
fn full(who: usize) -> String {
    let (host, account) = (who % 250, 111_122_223_333_u64 + who as u64 % 7);
    format!(
        r#","kind":"workload","credential":"ASIA{who:016}","credential_kind":"session_token","resource":"arn:aws:dynamodb:eu-west-1:{account}:table/ledger-{}/index/by-booking-date-and-account","resource_type":"AWS::DynamoDB::Table","resource_class":"customer_pii","ip":"10.20.{}.{host}","asn":64512,"country":"IE","user_agent":"aws-sdk-java/2.31.20 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.134 lang/java#21.0.7 cfg/retry-mode#standard","session":"i-{who:017x}","env":"prod","app":"ledger-reader-{}","app_version":"2026.11.3-build.{host}","tenant":"{account}","bytes":{}"#,
        who % 40,
        who / 250 % 250,
        who % 90,
        1000 + who % 7000,
    )
}

const ACTIONS: [&str; 3] = ["ledger.read", "ledger.list", "ledger.describe"];
/// A Monday that is past wherever the clock of this machine stands.
const START: f64 = 1_762_128_000.0;
