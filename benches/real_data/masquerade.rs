//! Bots of public repositories, and people's work under their names.
//!
//! Years of commits of ten bots, with sessions of people spliced in as if they were the bot's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use nhiwatch_detectors::kernel::event::{Class, Event, Kind};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde::Deserialize;

use super::{lines, point};

/// The share of the bots' own commits that may be flagged.
const FLAGGED: f64 = 0.01;
/// How seldom a bot may be active at an hour that is told of, beside the default.
const UNUSUAL: [f64; 6] = [0.01, 0.03, 0.05, 0.1, 0.2, 0.5];

/// One commit.
#[derive(Deserialize)]
struct Commit {
    id: String,
    ts: DateTime<Utc>,
    identity: String,
    action: String,
    areas: Vec<String>,
}

/// Whose a commit is.
#[derive(Deserialize)]
struct Label {
    id: String,
    phase: String,
    #[serde(default)]
    session: Option<String>,
}

/// What is to be counted: how far apart the commits of one intruder are.
#[derive(Clone, Copy)]
enum Pace {
    /// As people made them.
    AsMade,
    /// Three days apart.
    Slow,
}

/// Tells what is found of the commits in `folder`.
///
/// # Errors
///
/// Where the commits are missing or not as they are published.
pub(crate) fn measure(folder: &Path) -> io::Result<String> {
    let commits: Vec<Commit> = lines::read(&folder.join("dev_masquerade_events.jsonl.gz"))?;
    let labels: Vec<Label> = lines::read(&folder.join("dev_masquerade_labels.jsonl.gz"))?;
    let labels: BTreeMap<&str, &Label> = labels.iter().map(|it| (&*it.id, it)).collect();
    let rows = [point::usual_hours()]
        .into_iter()
        .chain(UNUSUAL)
        .map(|hours| {
            let [(made, of, flagged), (slow, ..)] = [Pace::AsMade, Pace::Slow].map(|pace| {
                let weights = weights(&commits, &labels, pace, hours);
                told_of(&commits, &labels, &weights)
            });
            let share = hours * 100.0;
            format!("| {share:.1} % | {made} of {of} | {slow} of {of} | {flagged} |\n")
        });
    let rows: String = rows.collect();
    let (sessions, normal) = never_used(&commits, &labels);
    Ok(format!(
        "\n## People under the names of bots\n\n\
         Years of commits of ten bots of public repositories. In the later part sessions of people were spliced in under \
         the bots' names. A commit is one event of class `write` for each top folder that it touches, in a session of its \
         own, for folders have no order; the folder is its resource and the class of it. A commit is judged by the heaviest finding of `tool-chain`, which is asked to say \
         whatever it would not sooner expect than not; the threshold is the least that flags no more than {:.0} % of \
         these same later commits of the bots. An action never used before is in {sessions} of the sessions and {normal} \
         of the bots' own later commits.\n\n\
         | hours that `off-hours` tells of | sessions told of, as made | with three days between commits | the bots' own commits \
         told of, as made |\n|---|---|---|---|\n{rows}\n\
         What it does not see looks like the bot (the same actions, in folders that the bot has touched), was taken up from \
         earlier intruders, who come to some bots a dozen times, or is of bots that do something new all the time. What came \
         with an alert, whichever detector raised it, is learned late: so the less seldom an hour must be for `off-hours`, the less `tool-chain` \
         takes up of what intruders do, until bots are told of for their own hours. The first row is the default; which is best \
         can be seen on these same data only.\n",
        FLAGGED * 100.0,
    ))
}

/// How many sessions are told of, of how many, and which of the bots' own later commits.
fn told_of(
    commits: &[Commit],
    labels: &BTreeMap<&str, &Label>,
    weights: &BTreeMap<String, f64>,
) -> (usize, usize, String) {
    let (mut sessions, mut normal) = (BTreeMap::<&str, f64>::new(), Vec::new());
    for commit in commits {
        let Some(label) = labels.get(&*commit.id).filter(|it| it.phase == "test") else {
            continue;
        };
        let weight = weights.get(&*commit.id).copied().unwrap_or(0.0);
        match &label.session {
            Some(session) => {
                let heaviest = sessions.entry(session).or_default();
                *heaviest = heaviest.max(weight);
            }
            None => normal.push(weight),
        }
    }
    let threshold = point::threshold(normal.iter().copied(), FLAGGED);
    let above = |weight: &&f64| **weight > threshold;
    let (seen, flagged) = (
        sessions.values().filter(above).count(),
        normal.iter().filter(above).count(),
    );
    let share = flagged as f64 * 100.0 / normal.len().max(1) as f64;
    let own = format!("{flagged} of {} ({share:.1} %)", normal.len());
    (seen, sessions.len(), own)
}

/// How many sessions, and how many of the bots' own later commits, have an action that the bot never used
/// before.
fn never_used(commits: &[Commit], labels: &BTreeMap<&str, &Label>) -> (usize, usize) {
    let mut sorted: Vec<&Commit> = commits.iter().collect();
    sorted.sort_by_key(|commit| (commit.ts, &commit.id));
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    let (mut sessions, mut normal) = (BTreeSet::new(), 0);
    for commit in sorted {
        let Some(label) = labels.get(&*commit.id) else {
            continue;
        };
        let act = (&*commit.identity, &*commit.action);
        match &label.session {
            Some(session) => {
                if !used.contains(&act) {
                    sessions.insert(session);
                }
            }
            None => {
                let new = used.insert(act);
                normal += usize::from(new && label.phase == "test");
            }
        }
    }
    (sessions.len(), normal)
}

/// What `tool-chain` weighs most at each commit, by its id, where `off-hours` tells of hours as seldom as `hours` says.
fn weights(
    commits: &[Commit],
    labels: &BTreeMap<&str, &Label>,
    pace: Pace,
    hours: f64,
) -> BTreeMap<String, f64> {
    let mut nth: BTreeMap<&str, i64> = BTreeMap::new();
    let mut timed: Vec<(Timestamp, &Commit)> = Vec::new();
    for commit in commits {
        let session = labels.get(&*commit.id).and_then(|it| it.session.as_deref());
        let before = session.map_or(0, |session| {
            let nth = nth.entry(session).or_default();
            *nth += 1;
            *nth - 1
        });
        let later = match pace {
            Pace::AsMade => 0,
            Pace::Slow => 3 * before,
        };
        let ts = Timestamp::from_micros(commit.ts.timestamp_micros()).plus(Span::DAY.times(later));
        timed.push((ts, commit));
    }
    timed.sort_by_key(|(ts, commit)| (*ts, &commit.id));
    let (mut engine, mut alerts) = (point::outspoken(hours), Vec::new());
    let mut weights = BTreeMap::new();
    for (ts, commit) in timed {
        let tops: BTreeSet<&str> = commit
            .areas
            .iter()
            .filter_map(|area| area.split('/').next())
            .collect();
        for top in tops {
            // The folders of a commit have no order.
            let session = format!("{}/{top}", commit.id);
            let event = Event {
                ts,
                identity: &commit.identity,
                kind: Kind::Bot,
                action: &commit.action,
                class: Class::Write,
                resource: Some(top),
                resource_class: Some(top),
                session: Some(&session),
                ..Event::default()
            };
            engine.handle(&Input::Event(event), &mut alerts);
        }
        let found = engine.take_sightings();
        let own = found
            .iter()
            .filter(|it| it.identity == commit.identity && it.ts == ts);
        weights.insert(commit.id.clone(), point::heaviest(own));
    }
    weights
}
