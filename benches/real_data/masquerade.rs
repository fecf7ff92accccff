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
    let rows = [
        (Pace::AsMade, "as it was made"),
        (Pace::Slow, "three days apart"),
    ]
    .map(|(pace, said)| {
        let weights = weights(&commits, &labels, pace);
        let (mut sessions, mut normal) = (BTreeMap::<&str, f64>::new(), Vec::new());
        for commit in &commits {
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
        let seen = sessions
            .values()
            .filter(|weight| **weight > threshold)
            .count();
        let flagged = normal.iter().filter(|weight| **weight > threshold).count();
        let share = flagged as f64 * 100.0 / normal.len().max(1) as f64;
        format!(
            "| {said} | {seen} of {} | {flagged} of {} ({share:.1} %) |\n",
            sessions.len(),
            normal.len()
        )
    });
    let (sessions, normal) = never_used(&commits, &labels);
    Ok(format!(
        "\n## People under the names of bots\n\n\
         Years of commits of ten bots of public repositories. In the later part sessions of people were spliced in under \
         the bots' names. A commit is one event of class `write` for each top folder that it touches, in a session of its \
         own, for folders have no order; the folder is its resource and the class of it. A commit is judged by the heaviest finding of `tool-chain`, which is asked to say \
         whatever it would not sooner expect than not; the threshold is the least that flags no more than {:.0} % of \
         these same later commits of the bots. An action never used before is in {sessions} of the sessions and {normal} \
         of the bots' own later commits.\n\n\
         | the intruder's commits | sessions told of | the bots' own commits told of |\n|---|---|---|\n{}\n\
         What it does not see looks like the bot (the same actions, in folders that the bot has touched), was taken up from \
         earlier intruders, who come to some bots a dozen times, or is of bots that do something new all the time.\n",
        FLAGGED * 100.0,
        rows.concat()
    ))
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

/// What `tool-chain` weighs most at each commit, by its id.
fn weights(
    commits: &[Commit],
    labels: &BTreeMap<&str, &Label>,
    pace: Pace,
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
    let (mut engine, mut alerts) = (point::outspoken(), Vec::new());
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
