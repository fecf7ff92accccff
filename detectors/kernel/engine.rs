//! One engine per partition: admit, count, judge, triage, learn.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::baseline::{Closed, Profile};
use super::calendar::Calendars;
use super::clock::{Arrival, Clock};
use super::codec::{self, Key, Rest};
use super::detector::{Alert, BaselineState, Finding, Mode, Verdict};
use super::event::{Event, Kind};
use super::identities::{Identities, Memory};
use super::input::{Fate, Input};
use super::names::Names;
use super::registry::Said;
use super::seen::Seen;
use super::time::Timestamp;
use super::triage::baseline_state;
use crate::{CARDS, Configs, Detectors, States};

/// Bounds on what one engine keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Identities one partition keeps.
    pub identities: usize,
    /// Event ids one partition keeps in ten minutes to recognise duplicates by.
    pub duplicates: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identities: 1_000_000,
            duplicates: 1_000_000,
        }
    }
}

/// Everything that decides, apart from the log: detectors, limits and calendars, and their digest.
pub struct Decision {
    detectors: Detectors,
    limits: Limits,
    digest: String,
}

impl Decision {
    /// The decision that `configs`, `limits`, `calendars` and the digest `sources` of the mapping
    /// files make.
    #[must_use]
    pub fn new(configs: &Configs, limits: &Limits, calendars: &Calendars, sources: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        let mut bytes = Vec::new();
        codec::encode(&(configs, limits, sources), &mut bytes);
        hash.update(&bytes);
        for calendar in calendars.iter() {
            hash.update(calendar.mic.as_bytes());
            hash.update(calendar.hash.as_bytes());
        }
        Self {
            detectors: Detectors::new(configs, calendars),
            limits: limits.clone(),
            digest: hex(&hash.finalize()),
        }
    }

    /// Hash over all that decides, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Plain counters, read by whoever drives the engine; they start at zero with every engine.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Records by fate, indexed as [`Fate::ALL`].
    pub fates: [u64; Fate::ALL.len()],
    /// Per detector, indexed as [`CARDS`].
    pub detectors: Vec<DetectorStats>,
    /// Identities with state.
    pub identities: u64,
    /// Identities evicted to stay within the limit.
    pub evicted: u64,
}

/// What one detector did.
#[derive(Clone, Copy, Debug, Default)]
pub struct DetectorStats {
    /// How often it judged.
    pub evaluations: u64,
    /// How often it knew too little to say anything.
    pub learning: u64,
    /// How often it found something.
    pub findings: u64,
    /// How often it failed.
    pub panics: u64,
}

/// The state machine of one partition.
///
/// Its only input is that partition's log, in order; it reads no clock and no random source, so the
/// same log always gives the same alerts and the same state.
pub struct Engine {
    partition: u32,
    decision: Arc<Decision>,
    clock: Clock,
    seen: Seen,
    names: Names,
    identities: Identities,
    stats: Stats,
    /// Findings of the event at hand; kept to reuse its allocation.
    findings: Vec<(usize, Mode, Finding)>,
}

impl Engine {
    /// An engine for `partition` that knows nothing yet.
    #[must_use]
    pub fn new(partition: u32, decision: Arc<Decision>) -> Self {
        let stats = Stats {
            fates: [0; Fate::ALL.len()],
            detectors: vec![DetectorStats::default(); CARDS.len()],
            identities: 0,
            evicted: 0,
        };
        Self {
            partition,
            clock: Clock::default(),
            seen: Seen::new(decision.limits.duplicates),
            names: Names::default(),
            identities: Identities::new(decision.limits.identities),
            findings: Vec::new(),
            decision,
            stats,
        }
    }

    /// The partition it owns.
    #[must_use]
    pub const fn partition(&self) -> u32 {
        self.partition
    }

    /// Takes one record in; what it raises is appended to `alerts`.
    pub fn handle(&mut self, input: &Input<'_>, alerts: &mut Vec<Alert>) -> Fate {
        let fate = match input {
            Input::Event(event) => self.event(event, alerts),
            Input::Inventory { identity, declared } => {
                let ts = self.clock.front().unwrap_or(Timestamp::MIN);
                if let Some(slot) = self.identities.admit(identity, ts) {
                    if let Some(memory) = self.identities.memory(slot) {
                        memory.baseline.declare(declared.clone());
                    }
                    self.identities.touch(slot, true, true);
                }
                Fate::Control
            }
            Input::Feedback {
                identity,
                incident,
                ruling,
            } => {
                if let Some(slot) = self.identities.find(identity) {
                    if let Some(memory) = self.identities.memory(slot)
                        && let Some((from, until)) = memory.incidents.hours(*incident)
                    {
                        memory.baseline.quarantine.rule(from, until, *ruling);
                    }
                    self.identities.touch(slot, false, true);
                }
                Fate::Control
            }
            Input::Heartbeat { ts } => {
                self.clock.advance(*ts);
                Fate::Control
            }
        };
        self.stats.fates[fate as usize] += 1;
        fate
    }

    /// One event: admit, count, judge, triage, learn.
    fn event(&mut self, event: &Event<'_>, alerts: &mut Vec<Alert>) -> Fate {
        // Admit.
        let arrival = self.clock.observe(event.ts, event.received);
        let front = self.clock.front().unwrap_or(event.ts);
        let excused = match arrival {
            Arrival::Late => Some(Fate::Late),
            Arrival::Future => Some(Fate::Filtered),
            Arrival::OnTime => event
                .uid
                .is_some_and(|uid| self.seen.note(event.identity, uid, front))
                .then_some(Fate::Duplicate),
        };
        let slot = match excused {
            Some(fate) => return self.excuse(event, fate, alerts),
            None => self.identities.admit(event.identity, event.ts),
        };
        let Some(slot) = slot else {
            return Fate::Filtered;
        };
        let symbol = self.names.note(event);
        let Some(memory) = self.identities.memory(slot) else {
            return Fate::Filtered;
        };
        if memory.failed {
            return Fate::Quarantined;
        }
        if memory.baseline.first_seen == Timestamp::MIN {
            memory.baseline = started(&memory.baseline, event);
        }

        // Learn what has closed since, then count.
        let Memory {
            hot,
            baseline,
            states,
            incidents,
            failed,
            ..
        } = memory;
        let detectors = &self.decision.detectors;
        let (mut learned, mut fine) = (false, true);
        let mut learn = |session| {
            learned = true;
            fine &= detectors.learn(&Closed::Session(session), states);
        };
        let mut rest = self
            .clock
            .watermark()
            .is_some_and(|watermark| hot.close(baseline, watermark, &mut learn));
        let now = hot.count(event, symbol, baseline, &mut learn);
        rest |= learned;
        if event.kind != Kind::Unknown && event.kind != baseline.kind {
            baseline.kind = event.kind;
            rest = true;
        }

        // Judge.
        let stats = &mut self.stats.detectors;
        let findings = &mut self.findings;
        let mut note = |index: usize, mode, said| {
            fine &= heed(&mut stats[index], findings, index, mode, said);
        };
        detectors.rule(event, baseline.declared.as_ref(), &mut note);
        let profile = Profile {
            hot,
            closed: baseline,
            now: &now,
            names: &self.names,
        };
        detectors.judge(event, &profile, states, &mut note);

        // Triage.
        let suspect = findings.iter().any(|(_, mode, _)| *mode == Mode::Alert);
        for (index, mode, finding) in findings.drain(..) {
            if mode == Mode::Alert {
                let card = &CARDS[index];
                let digest = &self.decision.digest;
                alerts.extend(incidents.raise(card, finding, event, baseline, digest));
            }
        }
        if suspect {
            hot.suspect(&now);
        }
        if !fine {
            *failed = true;
        }
        self.identities.touch(slot, true, rest || suspect || !fine);
        Fate::Judged
    }

    /// An event that does not count is still held against the rules.
    fn excuse(&mut self, event: &Event<'_>, fate: Fate, alerts: &mut Vec<Alert>) -> Fate {
        let Some(slot) = self.identities.find(event.identity) else {
            return fate;
        };
        let Some(memory) = self.identities.memory(slot) else {
            return fate;
        };
        let stats = &mut self.stats.detectors;
        let findings = &mut self.findings;
        let mut fine = true;
        self.decision.detectors.rule(
            event,
            memory.baseline.declared.as_ref(),
            |index, mode, said| fine &= heed(&mut stats[index], findings, index, mode, said),
        );
        let found = !findings.is_empty();
        for (index, mode, finding) in findings.drain(..) {
            if mode == Mode::Alert {
                let (card, digest) = (&CARDS[index], &self.decision.digest);
                let baseline = &memory.baseline;
                alerts.extend(
                    memory
                        .incidents
                        .raise(card, finding, event, baseline, digest),
                );
            }
        }
        memory.failed |= !fine;
        if found || !fine {
            self.identities.touch(slot, false, true);
        }
        fate
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.clock.watermark()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let identities = self.identities.len() as u64;
        Stats {
            identities,
            evicted: self.identities.evicted(),
            ..self.stats.clone()
        }
    }

    /// Every identity whose baseline is not mature yet, ordered by name.
    #[must_use]
    pub fn learning(&self) -> Vec<Young> {
        let Some(front) = self.clock.front() else {
            return Vec::new();
        };
        let young = |memory: &&Memory| {
            let first_seen = memory.baseline.first_seen;
            let state = baseline_state(front.since(first_seen));
            let identity = memory.identity.to_string();
            (state != BaselineState::Mature).then_some(Young {
                identity,
                first_seen,
                state,
            })
        };
        self.identities.sorted().iter().filter_map(young).collect()
    }

    /// Hands every state record that changed since the last call to `write`, as key and payload
    /// (`None` deletes the key), always in the same order; afterwards nothing is dirty.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8], Option<&[u8]>)) {
        let (mut key, mut payload) = (Vec::new(), Vec::new());
        for identity in self.identities.take_deleted() {
            for part in [Key::Hot(&identity), Key::Rest(&identity)] {
                part.write(&mut key);
                write(&key, None);
            }
        }
        self.identities.take_dirty(|memory, hot, rest| {
            if hot {
                Key::Hot(&memory.identity).write(&mut key);
                codec::encode(&memory.hot, &mut payload);
                write(&key, Some(&payload));
            }
            if rest {
                Key::Rest(&memory.identity).write(&mut key);
                codec::encode(&rest_of(memory), &mut payload);
                write(&key, Some(&payload));
            }
        });
        for (symbol, name) in self.names.take_fresh() {
            Key::Name(symbol).write(&mut key);
            codec::encode(&*name, &mut payload);
            write(&key, Some(&payload));
        }
        for (generation, chunk, fingerprints) in self.seen.take_changes() {
            Key::Seen(generation, chunk).write(&mut key);
            match fingerprints {
                Some(fingerprints) => {
                    codec::encode(&fingerprints, &mut payload);
                    write(&key, Some(&payload));
                }
                None => write(&key, None),
            }
        }
        codec::encode(&self.clock, &mut payload);
        write(codec::META, Some(&payload));
    }

    /// Takes one state record back in, as [`Engine::flush`] wrote it; order does not matter. After
    /// the last one call [`Engine::restored`].
    ///
    /// # Errors
    /// Where the record cannot be read: its layout is another version's, or it is damaged.
    pub fn restore(&mut self, key: &[u8], payload: &[u8]) -> Result<(), RestoreError> {
        let failed = |reason: String| RestoreError {
            key: String::from_utf8_lossy(key).escape_debug().to_string(),
            reason,
        };
        match Key::read(key) {
            None => return Err(failed("the key is of no known kind".to_owned())),
            Some(Key::Meta) => self.clock = codec::decode(payload).map_err(failed)?,
            Some(Key::Name(symbol)) => {
                let name: String = codec::decode(payload).map_err(failed)?;
                self.names.restore(symbol, &name);
            }
            Some(Key::Seen(generation, chunk)) => {
                let fingerprints: Vec<u64> = codec::decode(payload).map_err(failed)?;
                self.seen.restore(generation, chunk, &fingerprints);
            }
            Some(Key::Hot(identity)) => {
                let hot = codec::decode(payload).map_err(failed)?;
                self.identities.restore(identity, |memory| memory.hot = hot);
            }
            Some(Key::Rest(identity)) => {
                let rest: Rest<'static> = codec::decode(payload).map_err(failed)?;
                self.identities.restore(identity, |memory| {
                    memory.baseline = rest.baseline.into_owned();
                    memory.incidents = rest.incidents.into_owned();
                    memory.states = States::decode(&rest.states);
                    memory.failed = rest.failed;
                });
            }
        }
        Ok(())
    }

    /// Ends a series of [`Engine::restore`].
    pub fn restored(&mut self) {
        if let Some(front) = self.clock.front() {
            self.identities.restored(front);
        }
    }

    /// Hash over the whole state in canonical order, in hex; equal means equal.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut payload = Vec::new();
        codec::encode(&self.clock, &mut payload);
        hash.update(&payload);
        for memory in self.identities.sorted() {
            hash.update(memory.identity.as_bytes());
            codec::encode(&memory.hot, &mut payload);
            hash.update(&payload);
            codec::encode(&rest_of(memory), &mut payload);
            hash.update(&payload);
        }
        for (symbol, name) in self.names.iter() {
            hash.update(symbol.0.to_le_bytes());
            hash.update(name);
        }
        codec::encode(&self.seen.sorted(), &mut payload);
        hash.update(&payload);
        hex(&hash.finalize())
    }
}

/// An identity whose baseline is not mature yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Young {
    /// Its name.
    pub identity: String,
    /// Event time of its first event.
    pub first_seen: Timestamp,
    /// How much is known about it.
    pub state: BaselineState,
}

/// Notes what a detector said; tells whether it could say something.
fn heed(
    stats: &mut DetectorStats,
    findings: &mut Vec<(usize, Mode, Finding)>,
    index: usize,
    mode: Mode,
    said: Said,
) -> bool {
    stats.evaluations += 1;
    match said {
        Said::Verdict(Verdict::Anomalous(finding)) => {
            stats.findings += 1;
            findings.push((index, mode, finding));
            true
        }
        Said::Verdict(Verdict::Learning) => {
            stats.learning += 1;
            true
        }
        Said::Verdict(Verdict::Normal) => true,
        Said::Failed => {
            stats.panics += 1;
            false
        }
    }
}

/// The baseline of an identity that the inventory announced before its first event.
fn started(announced: &super::baseline::Baseline, event: &Event<'_>) -> super::baseline::Baseline {
    let mut baseline = super::baseline::Baseline::new(event.ts);
    baseline.declare(announced.declared.clone());
    baseline
}

fn rest_of(memory: &Memory) -> Rest<'_> {
    Rest {
        baseline: std::borrow::Cow::Borrowed(&memory.baseline),
        incidents: std::borrow::Cow::Borrowed(&memory.incidents),
        states: memory.states.encode(),
        failed: memory.failed,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A state record that cannot be read.
#[derive(Debug)]
pub struct RestoreError {
    /// Which record.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "state record {}: {}", self.key, self.reason)
    }
}

impl std::error::Error for RestoreError {}
