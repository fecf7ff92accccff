//! The steps of an identity's open sessions.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::event::{Class, Event};
use super::flow::{Course, Flow, Flows, Sink};
use super::names::Symbol;
use super::prefetch::prefetch;
use super::time::{Span, Timestamp};

/// The sessions that are open, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    open: ArrayVec<Session, 4>,
    /// Keys of the sessions that were last ended to make room: what continues one is not its start.
    cut: ArrayVec<u64, 8>,
}

/// One session, or a stretch of one that is too long to keep whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    key: u64,
    last: Timestamp,
    /// Whether its first step is the first of all: it neither continues a stretch nor was cut off.
    whole: bool,
    /// Whether something in it was anomalous: what is new in it becomes known only after days.
    pub suspect: bool,
    /// Whether an event came after one that happened later.
    shuffled: bool,
    /// When its first event happened that came.
    began: Timestamp,
    /// What was touched in it and where it got, in milliseconds since it began.
    /// Few sessions have any.
    course: Option<Box<Course>>,
    flows: Flows,
    /// Few sessions have any, so that they take no room in the others.
    targets: Vec<Target>,
    /// In the order in which they happened.
    steps: ArrayVec<Symbol, { Session::STEPS_MAX }>,
    /// When each did, in milliseconds since it began.
    times: ArrayVec<i32, { Session::STEPS_MAX }>,
}

impl Session {
    /// Steps one stretch holds; repeats of one step in a row count four times at most.
    pub const STEPS_MAX: usize = 16;
    /// Targets one stretch holds; what comes after so many different ones is neither judged nor learned.
    pub const TARGETS_MAX: usize = 8;

    /// The different flows in it, as its events came.
    #[must_use]
    pub const fn flows(&self) -> Flows {
        self.flows
    }

    /// Of its flows those into each sink when it was last reached: where events came out of order, others may never have
    /// been.
    #[must_use]
    pub fn last_flows(&self) -> Flows {
        match &self.course {
            // Those of stretches before this one are not of it.
            Some(course) => course.last_flows().and(self.flows),
            None => self.flows,
        }
    }

    /// What was sent to, changed or paid in it, each once.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Symbol] {
        &self.steps
    }

    /// Fingerprint of all steps up to `at`, if that is how the session began.
    #[must_use]
    pub fn path(&self, at: usize) -> Option<u32> {
        let steps = self.steps.get(..=at).filter(|_| self.whole)?;
        Some(fingerprint(steps))
    }

    /// Event time of the first event that came.
    #[must_use]
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// Whether an event came after one that happened later: others may be on their way that belong between those at hand.
    #[must_use]
    pub const fn is_shuffled(&self) -> bool {
        self.shuffled
    }

    /// Event time of the last step.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    fn begun_with(event: &Event<'_>, key: u64, whole: bool) -> Self {
        Self {
            key,
            last: event.ts,
            whole,
            suspect: false,
            shuffled: false,
            began: event.ts,
            course: None,
            flows: Flows::default(),
            targets: Vec::new(),
            steps: ArrayVec::new(),
            times: ArrayVec::new(),
        }
    }

    /// Adds `event`, where it belongs by its time; tells where it stands, but for the session's number.
    fn add(&mut self, event: &Event<'_>, symbol: Symbol, ended: impl FnOnce(Self)) -> Place {
        let millis = event.ts.since(self.began).micros() / 1000;
        let time = millis.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        // Nearly all come in order, and need not look at what came before them.
        let late = event.ts < self.last;
        self.shuffled |= late;
        let mut at = match late {
            true => self.before(time),
            false => self.steps.len(),
        };
        self.last = self.last.max(event.ts);
        let (earlier, later) = self.steps.split_at(at);
        let same = |step: &&Symbol| **step == symbol;
        let run =
            earlier.iter().rev().take_while(same).count() + later.iter().take_while(same).count();
        let repeats = run >= REPEATS;
        if !repeats {
            if self.steps.is_full() {
                ended(self.clone());
                self.steps.clear();
                self.times.clear();
                self.whole = false;
                self.shuffled = false;
                self.flows = Flows::default();
                self.targets.clear();
                at = 0;
            }
            self.steps.insert(at, symbol);
            self.times.insert(at, time);
        }
        let (mut makes, mut new) = (None, Flows::default());
        let flows = &mut self.flows;
        if Course::concerns(event) {
            let course = self.course.get_or_insert_default();
            course.note(event, time, |made| {
                makes = makes.or(Some(made));
                if flows.note(made) {
                    new.note(made);
                }
            });
        }
        let target = Target::of(event, symbol).filter(|target| {
            self.targets.len() < Self::TARGETS_MAX && !self.targets.contains(target)
        });
        self.targets.extend(target);
        Place {
            session: 0,
            step: (!repeats).then_some(at),
            makes: new.iter().next().or(makes),
            flows: new,
            target,
        }
    }

    /// How many steps happened until `time`.
    fn before(&self, time: i32) -> usize {
        let last = self.times.iter().rposition(|at| *at <= time);
        last.map_or(0, |last| last + 1)
    }
}

/// What a step was done to: an account that is paid, an address that is written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The step.
    pub step: Symbol,
    /// Fingerprint of the resource.
    pub resource: u32,
}

impl Target {
    /// That of `event`, whose step is `step`, if it changes, sends or pays something that is named.
    #[must_use]
    pub fn of(event: &Event<'_>, step: Symbol) -> Option<Self> {
        let changes = matches!(
            event.class,
            Class::Write | Class::Admin | Class::Tool | Class::Payment
        );
        let outside = Sink::of(event) == Some(Sink::Outside);
        let resource = event.resource.filter(|_| changes || outside)?;
        Some(Self {
            step,
            resource: xxh3_64(resource.as_bytes()) as u32,
        })
    }
}

/// Where an event stands in its session, and what of it the session had not yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Index of the session among the open ones.
    pub session: usize,
    /// Index of the step among those of the session; none where it only repeats those beside it.
    pub step: Option<usize>,
    /// The flow it makes; one that the session had not, if there is one.
    pub makes: Option<Flow>,
    /// Those that it makes and that the session had not.
    pub flows: Flows,
    /// What it was done to, if the session had not done it to that.
    pub target: Option<Target>,
}

impl Place {
    /// Whether it adds anything to what will be learned of the session.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        self.step.is_some() || !self.flows.is_empty() || self.target.is_some()
    }
}

/// Fingerprint of `steps` in this order, of which [`Session::STEPS_MAX`] at most count.
#[must_use]
pub fn fingerprint(steps: &[Symbol]) -> u32 {
    let mut bytes = [0; 4 * Session::STEPS_MAX];
    let mut len = 0;
    for (slot, step) in bytes.chunks_exact_mut(4).zip(steps) {
        slot.copy_from_slice(&step.0.to_le_bytes());
        len += 4;
    }
    xxh3_64(&bytes[..len]) as u32
}

impl Trail {
    /// Has where each part begins that every event looks at fetched into the processor's cache.
    pub(crate) fn prefetch(&self) {
        prefetch(&self.cut);
        prefetch(&self.open);
    }

    /// Ends the sessions that nothing can join any more, given the partition's `watermark`.
    pub fn expire(&mut self, watermark: Timestamp, mut ended: impl FnMut(Session)) {
        while let Some(at) = self.open.iter().position(|s| s.last.plus(GAP) < watermark) {
            ended(self.open.remove(at));
        }
    }

    /// Adds a step, ending the session that must make room for it; tells where the step stands.
    pub fn step(
        &mut self,
        event: &Event<'_>,
        symbol: Symbol,
        mut ended: impl FnMut(Session),
    ) -> Place {
        let key = key(event);
        let at = self.open.iter().position(|s| s.key == key);
        let at = match at {
            Some(at) if event.ts <= self.open[at].last.plus(GAP) => at,
            stale => {
                if let Some(at) = stale {
                    ended(self.open.remove(at));
                } else if self.open.is_full() {
                    let oldest = self
                        .open
                        .iter()
                        .enumerate()
                        .min_by_key(|(at, s)| (s.last, *at));
                    let oldest = oldest.map_or(0, |(at, _)| at);
                    let oldest = self.open.remove(oldest);
                    if self.cut.is_full() {
                        self.cut.remove(0);
                    }
                    self.cut.push(oldest.key);
                    ended(oldest);
                }
                let cut = self.cut.iter().position(|cut| *cut == key);
                if let Some(at) = cut {
                    self.cut.remove(at);
                }
                self.open
                    .push(Session::begun_with(event, key, cut.is_none()));
                self.open.len() - 1
            }
        };
        let place = self.open[at].add(event, symbol, ended);
        Place {
            session: at,
            ..place
        }
    }

    /// The session at `at`.
    #[must_use]
    pub fn session(&self, at: usize) -> Option<&Session> {
        self.open.get(at)
    }

    /// Marks the session at `at` as suspect.
    pub fn suspect(&mut self, at: usize) {
        if let Some(session) = self.open.get_mut(at) {
            session.suspect = true;
        }
    }
}

/// What groups steps into a session: its own id, the trace, or the credential and address used.
fn key(event: &Event<'_>) -> u64 {
    match (event.session, event.trace) {
        (Some(session), _) => xxh3_64(session.as_bytes()),
        (None, Some(trace)) => xxh3_64(trace.as_bytes()).rotate_left(1),
        (None, None) => {
            let credential = xxh3_64(event.credential.unwrap_or_default().as_bytes());
            credential.rotate_left(2) ^ xxh3_64(event.ip.unwrap_or_default().as_bytes())
        }
    }
}

/// One step in a row counts so often: more often it is a loop, of whatever length.
const REPEATS: usize = 4;
/// How long a session waits for its next step.
const GAP: Span = Span::MINUTE.times(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn event<'a>(session: &'a str, action: &'a str, seconds: i64) -> Event<'a> {
        Event {
            ts: Timestamp::from_seconds(1_790_000_000 + seconds),
            identity: "agent",
            action,
            session: Some(session),
            ..Event::default()
        }
    }

    fn walk(steps: &[(&str, &str, i64)]) -> (Trail, Vec<Session>) {
        let (mut trail, mut ended) = (Trail::default(), Vec::new());
        for (session, action, seconds) in steps {
            let event = event(session, action, *seconds);
            trail.step(&event, Symbol::of(&event), |session| ended.push(session));
        }
        (trail, ended)
    }

    #[test]
    fn interleaved_sessions_keep_their_own_order() {
        let (trail, ended) = walk(&[("a", "x", 0), ("b", "y", 1), ("a", "z", 2)]);
        assert!(ended.is_empty());
        let lengths: Vec<usize> = trail.open.iter().map(|s| s.steps.len()).collect();
        assert_eq!(lengths, [2, 1]);
    }

    #[test]
    fn a_long_pause_ends_the_session() {
        let (trail, ended) = walk(&[("a", "x", 0), ("a", "x", 3600)]);
        assert_eq!((trail.open.len(), ended.len()), (1, 1));
    }

    #[test]
    fn repeats_count_four_times_at_most_and_a_long_session_is_cut() {
        let (trail, _) = walk(&[0, 1, 2, 3, 4, 5].map(|second| ("a", "x", second)));
        assert_eq!(trail.open[0].steps.len(), 4);
        let names: Vec<String> = (0..17).map(|n| format!("step{n}")).collect();
        let steps: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| ("a", name.as_str(), n as i64))
            .collect();
        let (trail, ended) = walk(&steps);
        assert_eq!(ended[0].steps().len(), 16);
        assert!(ended[0].path(15).is_some());
        assert_eq!(trail.open[0].steps().len(), 1);
        assert_eq!(trail.open[0].path(0), None, "it did not begin so");
    }

    #[test]
    fn steps_stand_where_they_belong_by_their_time_in_whatever_order_they_come() {
        let steps = [
            ("a", "x", 0),
            ("a", "y", 10),
            ("a", "y", 20),
            ("a", "z", 30),
        ];
        let (wanted, _) = walk(&steps);
        assert!(!wanted.open[0].is_shuffled());
        for order in [[0, 1, 3, 2], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let (trail, ended) = walk(&order.map(|at| steps[at]));
            let (session, wanted) = (&trail.open[0], &wanted.open[0]);
            assert!(ended.is_empty() && session.is_shuffled());
            assert_eq!(session.path(3), wanted.path(3), "{order:?}");
            assert_eq!(session.last(), wanted.last());
        }
        // Of what happens at one time, what comes first is first, and nothing is late.
        let (trail, _) = walk(&[("a", "x", 0), ("a", "z", 10), ("a", "y", 10)]);
        let (other, _) = walk(&[("a", "x", 0), ("a", "z", 10), ("a", "y", 20)]);
        assert!(!trail.open[0].is_shuffled());
        assert_eq!(trail.open[0].path(2), other.open[0].path(2));
        // What is late where a stretch is full shows that it was, and so does a repeat that is no step.
        let names: Vec<String> = (0..16).map(|n| format!("step{n}")).collect();
        let steps = (0..).zip(&names);
        let mut steps: Vec<_> = steps.map(|(n, name)| ("a", name.as_str(), n)).collect();
        steps.push(("a", "late", 3));
        let (trail, ended) = walk(&steps);
        assert!(ended[0].is_shuffled() && !trail.open[0].is_shuffled());
        let (trail, _) = walk(&[0, 1, 2, 3, 9, 8].map(|second| ("a", "x", second)));
        assert!(trail.open[0].is_shuffled());
        // A fifth in a row is none, wherever it comes.
        let (trail, _) = walk(&[0, 40, 10, 30, 20].map(|second| ("a", "x", second)));
        assert_eq!(trail.open[0].steps().len(), 4);
    }

    #[test]
    fn what_continues_a_session_that_made_room_does_not_start_one() {
        let crowd = ["a", "b", "c", "d", "e", "a", "f"];
        let steps: Vec<_> = (0..).zip(crowd).map(|(n, key)| (key, "x", n)).collect();
        let (trail, ended) = walk(&steps);
        assert_eq!(ended.len(), 3);
        let starts: Vec<bool> = trail.open.iter().map(|it| it.whole).collect();
        assert_eq!(starts, [true, true, false, true]);
    }
}
