//! Bots of public repositories, and people's work under their names.
//!
//! Years of commits of ten bots, with sessions of people spliced in as if they were the bot's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use nhiwatch_detectors::kernel::engine::Engine;
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

/// How far apart the commits of one intruder are.
#[derive(Clone, Copy)]
enum Pace {
    /// As people made them.
    AsMade,
    /// Three days apart.
    Slow,
}

/// A commit, when it came, and what `tool-chain` weighed most at it, in bits.
struct Judged<'c> {
    commit: &'c Commit,
    ts: Timestamp,
    weight: f64,
}

/// Commits, and whose each is.
struct Set<'c> {
    commits: Vec<&'c Commit>,
    labels: &'c BTreeMap<&'c str, &'c Label>,
}

/// Tells what is found of the commits in `folder`; if `quick`, at the default of `off-hours` only.
///
/// # Errors
///
/// Where the commits are missing or not as they are published.
pub(crate) fn measure(folder: &Path, quick: bool) -> io::Result<String> {
    let commits: Vec<Commit> = lines::read(&folder.join("dev_masquerade_events.jsonl.gz"))?;
    let labels: Vec<Label> = lines::read(&folder.join("dev_masquerade_labels.jsonl.gz"))?;
    let labels: BTreeMap<&str, &Label> = labels.iter().map(|it| (&*it.id, it)).collect();
    let set = Set {
        commits: commits.iter().collect(),
        labels: &labels,
    };
    let others = if quick { &[][..] } else { &UNUSUAL };
    let rows = [point::usual_hours()]
        .into_iter()
        .chain(others.iter().copied());
    let rows: String = rows.map(|hours| row(&set, hours)).collect();
    let (sessions, normal) = never_used(&commits, &labels);
    Ok(format!(
        "\n## People under the names of bots\n\n\
         Years of commits of ten bots of public repositories. In the later part sessions of people were spliced in under \
         the bots' names. A commit is one event of class `write` for each top folder that it touches, in a session of its \
         own, for folders have no order; the folder is its resource and the class of it. A commit is judged by the heaviest finding of `tool-chain`, which is asked to say \
         whatever it would not sooner expect than not. It is told of if that is above a threshold, and above what was told of \
         the same bot on the same day before, for what is known of an incident is not told again. The threshold is the least that tells of no more than {:.0} % of \
         these same later commits of the bots. An action never used before is in {sessions} of the sessions and {normal} \
         of the bots' own later commits.\n\n\
         Each session stands in a run of its own, as if its intruder were the first, and then all stand in one run, where some bots have a dozen \
         intruders one after the other and nobody rules on any.\n\n\
         | hours that `off-hours` tells of | sessions told of, each alone | the same, three days between commits | all in one \
         run | the same, three days between commits | the bots' own commits told of, without and with intruders |\n\
         |---|---|---|---|---|---|\n{rows}\n\
         What it does not see looks like the bot (the same actions, in folders that the bot has touched), was taken up from \
         earlier intruders, or is of bots that do something new all the time. What came \
         with an alert, whichever detector raised it, is learned late, so that `tool-chain` takes up less of what is new where `off-hours` \
         tells of more hours. Each column has a threshold of its own, from the bots alone where sessions stand alone: a few sessions \
         more or less mean nothing. The first row is the default; which is best can be seen on these same data only.\n",
        FLAGGED * 100.0,
    ))
}

/// What is told of where `off-hours` tells of hours as seldom as `hours` says.
fn row(set: &Set<'_>, hours: f64) -> String {
    let own = set.only(|label, _| label.is_none_or(|label| label.session.is_none()));
    let own = own.judge(Pace::AsMade, hours);
    let threshold = set.threshold(&own);
    let sessions = set.sessions();
    let of = sessions.len();
    let [alone, alone_slow] = [Pace::AsMade, Pace::Slow].map(|pace| {
        let told = sessions.iter().filter(|(session, identity)| {
            // Of one bot alone, for time: in one engine each has a memory of its own.
            let set = set.only(|label, commit| {
                let of = label.and_then(|label| label.session.as_deref());
                commit.identity == **identity && of.is_none_or(|of| of == **session)
            });
            let judged = set.judge(pace, hours);
            let (told, _) = set.told(&judged, threshold);
            told.contains(*session)
        });
        told.count()
    });
    let [(made, with), (slow, _)] = [Pace::AsMade, Pace::Slow].map(|pace| {
        let judged = set.judge(pace, hours);
        let (told, own) = set.told(&judged, set.threshold(&judged));
        (told.len(), own)
    });
    let (_, without) = set.told(&own, threshold);
    let normal = set.normal(&own).count();
    let share = |own: usize| own as f64 * 100.0 / normal.max(1) as f64;
    format!(
        "| {:.1} % | {alone} of {of} | {alone_slow} of {of} | {made} of {of} | {slow} of {of} | {without} ({:.1} %) and {with} \
         ({:.1} %) of {normal} |\n",
        hours * 100.0,
        share(without),
        share(with),
    )
}

impl<'c> Set<'c> {
    /// Those that are to be kept by their label and themselves.
    fn only(&self, keep: impl Fn(Option<&Label>, &Commit) -> bool) -> Self {
        let commits = self.commits.iter().copied();
        let commits = commits.filter(|commit| keep(self.label(commit), commit));
        Self {
            commits: commits.collect(),
            labels: self.labels,
        }
    }

    fn label(&self, commit: &Commit) -> Option<&'c Label> {
        self.labels.get(&*commit.id).copied()
    }

    fn session(&self, commit: &Commit) -> Option<&'c str> {
        self.label(commit)?.session.as_deref()
    }

    /// Whether it is a commit of a bot, of those that count.
    fn is_normal(&self, commit: &Commit) -> bool {
        let label = self.label(commit);
        label.is_some_and(|label| label.phase == "test" && label.session.is_none())
    }

    /// The sessions, with the bot of each.
    fn sessions(&self) -> BTreeMap<&'c str, &'c str> {
        let commits = self.commits.iter();
        let sessions =
            commits.filter_map(|commit| Some((self.session(commit)?, &*commit.identity)));
        sessions.collect()
    }

    /// The bots' own commits among `judged`, of those that count.
    fn normal<'j>(&self, judged: &'j [Judged<'c>]) -> impl Iterator<Item = &'j Judged<'c>> {
        judged.iter().filter(|it| self.is_normal(it.commit))
    }

    /// The least weight above which no more of the bots' own commits are told of than may be.
    fn threshold(&self, judged: &[Judged<'_>]) -> f64 {
        let allowed = (self.normal(judged).count() as f64 * FLAGGED) as usize;
        let mut weights: Vec<f64> = self.normal(judged).map(|it| it.weight).collect();
        weights.sort_by(f64::total_cmp);
        weights.dedup();
        let fits = |weight: &f64| self.told(judged, *weight).1 <= allowed;
        weights.into_iter().find(fits).unwrap_or_default()
    }

    /// The sessions that are told of above `threshold`, and how many of the bots' own commits.
    fn told(&self, judged: &[Judged<'c>], threshold: f64) -> (BTreeSet<&'c str>, usize) {
        let mut days: BTreeMap<(&str, u16), f64> = BTreeMap::new();
        let (mut sessions, mut own) = (BTreeSet::new(), 0);
        for Judged { commit, ts, weight } in judged {
            let day = (&*commit.identity, ts.day_number());
            let before = days.entry(day).or_insert(threshold);
            if weight <= before {
                continue;
            }
            *before = *weight;
            sessions.extend(self.session(commit));
            own += usize::from(self.is_normal(commit));
        }
        (sessions, own)
    }

    /// What `tool-chain` weighs most at each commit, where `off-hours` tells of hours as seldom as `hours` says; in the
    /// order in which they come.
    fn judge(&self, pace: Pace, hours: f64) -> Vec<Judged<'c>> {
        let mut nth: BTreeMap<&str, i64> = BTreeMap::new();
        let mut timed: Vec<(Timestamp, &'c Commit)> = Vec::new();
        for &commit in &self.commits {
            let before = self.session(commit).map_or(0, |session| {
                let nth = nth.entry(session).or_default();
                *nth += 1;
                *nth - 1
            });
            let later = match pace {
                Pace::AsMade => 0,
                Pace::Slow => 3 * before,
            };
            let ts = Timestamp::from_micros(commit.ts.timestamp_micros());
            timed.push((ts.plus(Span::DAY.times(later)), commit));
        }
        timed.sort_by_key(|(ts, commit)| (*ts, &commit.id));
        let mut engine = point::outspoken(hours);
        let judged = timed.into_iter().map(|(ts, commit)| Judged {
            commit,
            ts,
            weight: weight(&mut engine, ts, commit),
        });
        judged.collect()
    }
}

/// What `tool-chain` weighs most at a commit that comes at `ts`.
fn weight(engine: &mut Engine, ts: Timestamp, commit: &Commit) -> f64 {
    let areas = commit.areas.iter();
    let tops: BTreeSet<&str> = areas.filter_map(|area| area.split('/').next()).collect();
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
        engine.handle(&Input::Event(event), &mut Vec::new());
    }
    let found = engine.take_sightings();
    let own = found
        .iter()
        .filter(|it| it.identity == commit.identity && it.ts == ts);
    point::heaviest(own)
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
