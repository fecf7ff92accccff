//! What a detector is, what it says, and what the rest of the system must know about it.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::baseline::{Baseline, Closed, Profile};
use super::calendar::Calendars;
use super::event::{Event, words};
use super::inventory::Declared;
use super::time::{Span, Timestamp};

/// One kind of behaviour we watch for.
///
/// A detector is pure: the same configuration, profile, state and event always give the same
/// verdict. It never reads a clock; time is `event.ts`.
pub trait Detector: Sized + Send + Sync + 'static {
    /// What the rest of the system, and the analyst, must know about it.
    const CARD: Card;
    /// The layout of `State`; raise it when the layout changes, and old states are relearned.
    const STATE_VERSION: u8 = 1;
    /// Its section of the configuration file; invalid values cannot be represented.
    type Config: Clone + fmt::Debug + Default + PartialEq + Serialize + DeserializeOwned;
    /// What it remembers about one identity; bounded, whatever the events.
    type State: Default + Clone + Send + Serialize + DeserializeOwned;

    /// A detector that follows `config` and, where it needs them, the trading calendars.
    fn new(config: Self::Config, calendars: &Calendars) -> Self;

    /// How long an identity is watched under `config` before it is judged; no time at all where
    /// there are only rules.
    fn learning(_config: &Self::Config) -> Span {
        Span::from_micros(0)
    }

    /// Compares `event` with what was normal until now. Cannot learn.
    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, state: &Self::State) -> Verdict;

    /// Holds `event` against rules that need no history.
    ///
    /// Late and duplicate events come here too, for a rule is broken whenever it is broken.
    fn rule(&self, _event: &Event<'_>, _declared: Option<&Declared>) -> Verdict {
        Verdict::Normal
    }

    /// Looks once more at an hour or a day that is over, before anything learns it. Cannot learn.
    fn review(&self, _over: &Closed, _profile: &Profile<'_>, _state: &Self::State) -> Verdict {
        Verdict::Normal
    }

    /// Takes over a closed window or session as normal, given what is known of the identity without it or
    /// with it. Cannot alert.
    fn learn(&self, _closed: &Closed, _baseline: &Baseline, _state: &mut Self::State) {}

    /// What it knows of an identity that nobody else does, in words, for a person who asks.
    fn story(&self, _profile: &Profile<'_>, _state: &Self::State) -> Evidence {
        Evidence::new()
    }

    /// The time at which it would be news that nothing has happened, as things stand. Events put it
    /// off; where they bring it forward, that is noticed within a day.
    fn deadline(&self, _profile: &Profile<'_>, _state: &Self::State) -> Option<Timestamp> {
        None
    }

    /// Judges that nothing has happened until `now`. It is asked at its deadline, and perhaps at
    /// other times: what counts is `now`. Cannot learn.
    fn wake(&self, _now: Timestamp, _profile: &Profile<'_>, _state: &Self::State) -> Verdict {
        Verdict::Normal
    }

    /// Whether something had to be forgotten to keep `state` bounded.
    fn forgets(_state: &Self::State) -> bool {
        false
    }
}

/// What a detector says of one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Too little is known yet to say anything.
    Learning,
    /// Nothing unusual.
    Normal,
    /// Unusual, and why.
    Anomalous(Box<Finding>),
}

impl Verdict {
    /// Unusual, as `finding` says.
    #[must_use]
    pub fn found(finding: Finding) -> Self {
        Self::Anomalous(Box::new(finding))
    }
}

/// One detector's reasons at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What the finding is about; with identity and detector it names the incident.
    pub subject: String,
    /// How probable something at least as strange is while nothing is wrong; absent for a rule.
    pub p_value: Option<PValue>,
    /// The p-value from which on this test speaks; see [`begins`](super::budget::begins).
    pub begins: f64,
    /// One sentence for a person, without the identity's name.
    pub summary: String,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// The facts behind it, as named values.
    pub evidence: Evidence,
    /// What would make it normal.
    pub clears: String,
    /// How severe this one is, where the card's severity does not fit.
    pub severity: Option<Severity>,
    /// Whether what it is about moves orders, money or rights, or leaves the house.
    pub sink: bool,
    /// The least it weighs, in bits, for what it would mean: nothing for most.
    pub floor: f64,
}

impl Finding {
    /// What it weighs, in bits: by how much it is less probable than where its test begins to speak,
    /// or its floor. A rule weighs nothing; it speaks for itself.
    #[must_use]
    pub fn weight(&self) -> Option<f64> {
        let bits = |p: PValue| libm::log2(self.begins / p.get()).max(self.floor);
        self.p_value.map(bits)
    }
}

/// Named facts, in the order they were found.
pub type Evidence = Vec<(Cow<'static, str>, String)>;

/// The facts `named`.
#[must_use]
pub fn evidence<const N: usize>(named: [(&'static str, String); N]) -> Evidence {
    named.map(|(name, fact)| (Cow::Borrowed(name), fact)).into()
}

/// The chance of something at least this strange while nothing is wrong; in (0, 1].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct PValue(f64);

impl PValue {
    /// The smallest value kept: below it, numbers say nothing any more.
    const FLOOR: f64 = 1e-300;

    /// `p`, brought into (0, 1]; what is not a number counts as 1.
    #[must_use]
    pub fn new(p: f64) -> Self {
        if p.is_nan() {
            Self(1.0)
        } else {
            Self(p.clamp(Self::FLOOR, 1.0))
        }
    }

    /// The p-value whose natural logarithm is `ln_p`.
    #[must_use]
    pub fn from_ln(ln_p: f64) -> Self {
        Self::new(libm::exp(ln_p))
    }

    /// The probability.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The surprise in bits, `-log2 p`.
    #[must_use]
    pub fn bits(self) -> f64 {
        -libm::log2(self.0)
    }
}

impl fmt::Display for PValue {
    /// Three significant digits: `0.0123`, `4.56e-9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1e-3 {
            let digits = (2.0 - libm::floor(libm::log10(self.0))).max(0.0) as usize;
            write!(f, "{:.digits$}", self.0)
        } else {
            write!(f, "{:.2e}", self.0)
        }
    }
}

/// What the rest of the system, and the analyst, must know about a detector.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// Kebab-case name: folder, config key, metric label and alert field.
    pub name: &'static str,
    /// One line on what it sees.
    pub summary: &'static str,
    /// How bad a finding is, if it is true.
    pub severity: Severity,
    /// Whether its findings carry a probability or follow from a rule.
    pub family: Family,
    /// Whether it looks at one identity or at all of a partition.
    pub scope: Scope,
    /// What it answers for: ids of MITRE ATT&CK techniques and OWASP NHI risks.
    pub controls: &'static [&'static str],
    /// The page an analyst reads, in Markdown.
    pub page: &'static str,
}

words! {
    /// How bad a finding is.
    Severity {
        /// Worth a line in a report.
        Info = "info",
        /// Worth a look when there is time.
        Low = "low",
        /// Worth a look today.
        Medium = "medium",
        /// Worth a look now.
        High = "high",
        /// Worth waking somebody.
        Critical = "critical",
    }
}

impl Severity {
    /// One step more.
    #[must_use]
    pub const fn raised(self) -> Self {
        match self {
            Self::Info => Self::Low,
            Self::Low => Self::Medium,
            Self::Medium => Self::High,
            Self::High | Self::Critical => Self::Critical,
        }
    }
}

words! {
    /// Where a detector's confidence comes from.
    Family {
        /// From a baseline; findings carry a p-value.
        Statistical = "statistical",
        /// From a rule; findings carry none.
        Policy = "policy",
    }
}

words! {
    /// What a detector looks at.
    Scope {
        /// One identity at a time.
        Identity = "identity",
        /// All identities of a partition together.
        Partition = "partition",
    }
}

words! {
    /// What a detector is allowed to do.
    Mode {
        /// Nothing: it is not even built.
        Off = "off",
        /// Judge and count, but raise no alert and touch no shared baseline.
        Shadow = "shadow",
        /// Raise alerts.
        Alert = "alert",
    }
}

words! {
    /// How much is known about the identity an alert is about.
    BaselineState {
        /// Less than the learning time has passed.
        Learning = "learning",
        /// Learned, but for less than four weeks.
        Provisional = "provisional",
        /// Four weeks or more.
        Mature = "mature",
    }
}

impl BaselineState {
    /// What is known of an identity that is `age` old.
    #[must_use]
    pub fn of(age: Span) -> Self {
        if age < Span::WEEK {
            Self::Learning
        } else if age < MATURE {
            Self::Provisional
        } else {
            Self::Mature
        }
    }
}

/// A detector's section of the config file: its mode beside its own settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slot<C: Default> {
    /// What it is allowed to do.
    #[serde(with = "mode_word")]
    pub mode: Mode,
    /// Its own settings.
    pub config: C,
}

impl<C: Default> Default for Slot<C> {
    fn default() -> Self {
        Self {
            mode: Mode::Alert,
            config: C::default(),
        }
    }
}

/// A mode is written as its word.
mod mode_word {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Mode;

    pub(super) fn serialize<S: Serializer>(mode: &Mode, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(mode.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mode, D::Error> {
        let word = String::deserialize(from)?;
        let words: Vec<&str> = Mode::ALL.iter().map(|mode| mode.word()).collect();
        Mode::from_word(&word).ok_or_else(|| {
            de::Error::custom(format!(
                "unknown mode `{word}`, expected one of {}",
                words.join(", ")
            ))
        })
    }
}

/// From this age on what is found of an identity is more than information.
const MATURE: Span = Span::WEEK.times(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_print_three_digits_and_stay_in_range() {
        assert_eq!(PValue::new(0.012_345).to_string(), "0.0123");
        assert_eq!(PValue::new(4.5678e-9).to_string(), "4.57e-9");
        assert_eq!(PValue::new(1.0).to_string(), "1.00");
        assert_eq!(PValue::new(f64::NAN).get(), 1.0);
        assert!(PValue::from_ln(-1e9).get() > 0.0);
    }
}
