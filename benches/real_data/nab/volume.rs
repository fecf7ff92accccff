//! The statistics of `api-volume` on a series of values instead of counts of calls.
//!
//! What is kept of the detector: a decayed level with its scatter for each hour of the day, shrunk into
//! that of all hours; learning that is cut back; a p-value; the tail learned for each series; one
//! incident while it lasts. What is other: values are real and may be negative, so the law is Student's
//! and not the negative binomial, tested on both sides; and a row is held against the row before it too,
//! since values, unlike counts of independent calls, go on from where they were.

use nhiwatch_detectors::kernel::surprise::Surprise;

use super::lens::{Lens, Level};

/// What a row is held against; one set for every series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constants {
    /// Degrees of freedom of Student's law.
    pub(crate) freedom: f64,
    /// Half-life of the scatter of residuals, in rows.
    pub(crate) half_life: f64,
    /// Half-life of what an hour of the day brings, in its rows.
    pub(crate) hour_half_life: f64,
    /// Rows of all hours that an hour's mean and scatter are shrunk into.
    pub(crate) shrink: f64,
    /// Scatter below which a residual is of no interest, as a part of the scatter of values.
    pub(crate) floor: f64,
    /// Deviations beyond which a row is cut back before it is learned.
    pub(crate) cut: f64,
    /// Rows learned before one is judged.
    pub(crate) warm: f64,
    /// Rows after which an incident that was not raised is over.
    pub(crate) quiet: f64,
}

/// The set that is reported.
pub(crate) const CONSTANTS: Constants = Constants {
    freedom: 16.0,
    half_life: 300.0,
    hour_half_life: 300.0,
    shrink: 5.0,
    floor: 0.05,
    cut: 12.0,
    warm: 50.0,
    quiet: 100.0,
};

/// Scatter of a series that never changes, as a part of its value.
const NOTHING: f64 = 1e-9;

/// What is learned of one series, row by row; nothing is known of it beforehand.
pub(crate) struct Volume {
    constants: Constants,
    all: Level,
    hours: [Level; 24],
    last: Option<f64>,
    of_hour: Lens,
    of_step: Lens,
    /// The highest surprise of the incident that is open, and the rows since it was raised.
    incident: Option<(f64, f64)>,
}

impl Volume {
    pub(crate) fn new(constants: Constants) -> Self {
        Self {
            constants,
            all: Level::default(),
            hours: [Level::default(); 24],
            last: None,
            of_hour: Lens::default(),
            of_step: Lens::default(),
            incident: None,
        }
    }

    /// How surprising `value` is in this hour of the day, in nats; 0 where that is not news. The row is
    /// learned afterwards.
    pub(crate) fn score(&mut self, hour: usize, value: f64) -> f64 {
        let constants = self.constants;
        let kept = constants.hour_half_life;
        let own = self.hours.get(hour).copied().unwrap_or_default();
        let expected = own.shrunk(&self.all, constants.shrink);
        // Residuals of hours of much and of little scatter are made alike, so that they share one tail.
        let ratio = if self.all.variance > 0.0 {
            (expected.variance / self.all.variance).sqrt()
        } else {
            1.0
        };
        let at_hour = (value - expected.mean) / ratio.max(constants.floor);
        let step = value - self.last.unwrap_or(value);
        let floor = constants.floor * self.all.variance.sqrt() + NOTHING * (1.0 + value.abs());
        let found = self
            .of_hour
            .judge(at_hour, floor, &constants)
            .max(self.of_step.judge(step, floor, &constants));

        if self.last.is_some() {
            self.of_hour.learn(at_hour, floor, &constants);
            self.of_step.learn(step, floor, &constants);
        }
        self.all.learn(value, kept);
        if let Some(own) = self.hours.get_mut(hour) {
            own.learn(value, kept);
        }
        self.last = Some(value);
        self.raise(found)
    }

    /// What is published of a surprise: all of it if no incident is open or it is the highest of the one
    /// that is, else nothing.
    fn raise(&mut self, found: f64) -> f64 {
        let open = self
            .incident
            .map(|(highest, since)| (highest, since + 1.0))
            .filter(|(_, since)| *since <= self.constants.quiet);
        let news = found > Surprise::FROM && open.is_none_or(|(highest, _)| found > highest);
        self.incident = if news { Some((found, 0.0)) } else { open };
        if news { found } else { 0.0 }
    }
}

/// Each constant by name, with the sets where it alone is a quarter smaller and a quarter larger.
pub(crate) fn varied() -> Vec<(&'static str, Constants, Constants)> {
    type Field = fn(&mut Constants) -> &mut f64;
    let fields: [(&'static str, Field); 8] = [
        ("degrees of freedom", |set| &mut set.freedom),
        ("half-life of the scatter", |set| &mut set.half_life),
        ("half-life of an hour of the day", |set| {
            &mut set.hour_half_life
        }),
        ("shrinking of an hour into all", |set| &mut set.shrink),
        ("floor of the scatter", |set| &mut set.floor),
        ("deviations that are learned", |set| &mut set.cut),
        ("rows learned before one is judged", |set| &mut set.warm),
        ("rows until an incident is over", |set| &mut set.quiet),
    ];
    let set = |field: Field, factor: f64| {
        let mut constants = CONSTANTS;
        *field(&mut constants) *= factor;
        constants
    };
    let sets = fields.map(|(name, field)| (name, set(field, 0.75), set(field, 1.25)));
    sets.into()
}
