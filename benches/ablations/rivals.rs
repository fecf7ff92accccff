//! Other ways to judge the calls of an identity's hours, as products and runbooks do. Each gives a score
//! to an hour that is over, before it learns it.

/// A way to judge hours.
pub(crate) trait Rival {
    /// How strange it is that hour `hour` (since the first) brought so many calls.
    fn score(&mut self, hour: usize, calls: f64) -> f64;
}

/// All of them, with their names.
pub(crate) const NAMES: [&str; 4] = [
    "three sigma: deviations from the mean of the last seven days",
    "hour-of-week z-score: deviations from the mean of the same hour of earlier weeks",
    "EWMA chart: a moving average of hours against its own deviation",
    "static threshold: times the largest hour of the first two weeks",
];

/// One of each.
pub(crate) fn all() -> [Box<dyn Rival>; 4] {
    [
        Box::new(ThreeSigma::default()),
        Box::new(HourOfWeek::default()),
        Box::new(Ewma::default()),
        Box::new(Static::default()),
    ]
}

/// The rule of dashboards: deviations of a trailing week.
#[derive(Default)]
struct ThreeSigma {
    last: std::collections::VecDeque<f64>,
}

impl Rival for ThreeSigma {
    fn score(&mut self, _hour: usize, calls: f64) -> f64 {
        let n = self.last.len() as f64;
        let mean = self.last.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = self.last.iter().map(|x| (x - mean) * (x - mean)).sum();
        self.last.push_back(calls);
        if self.last.len() > WEEK {
            self.last.pop_front();
        }
        deviations(calls, mean, squares / n.max(1.0))
    }
}

/// The seasonal baseline of log platforms: mean and deviation of each hour of the week.
struct HourOfWeek {
    slots: Vec<(f64, f64, f64)>,
}

impl Default for HourOfWeek {
    fn default() -> Self {
        Self {
            slots: vec![(0.0, 0.0, 0.0); WEEK],
        }
    }
}

impl Rival for HourOfWeek {
    fn score(&mut self, hour: usize, calls: f64) -> f64 {
        let (n, mean, squares) = &mut self.slots[hour % WEEK];
        let score = if *n < 3.0 {
            0.0
        } else {
            deviations(calls, *mean, *squares / *n)
        };
        // Welford 1962.
        *n += 1.0;
        let off = calls - *mean;
        *mean += off / *n;
        *squares += off * (calls - *mean);
        score
    }
}

/// The control chart of Roberts (1959), with a slow mean and variance to hold it against.
#[derive(Default)]
struct Ewma {
    fast: f64,
    mean: f64,
    variance: f64,
}

impl Rival for Ewma {
    fn score(&mut self, _hour: usize, calls: f64) -> f64 {
        let fast = self.fast + FAST * (calls - self.fast);
        let variance = self.variance * FAST / (2.0 - FAST);
        let score = deviations(fast, self.mean, variance);
        self.fast = fast;
        let off = calls - self.mean;
        self.mean += SLOW * off;
        self.variance = (1.0 - SLOW) * (self.variance + SLOW * off * off);
        score
    }
}

/// The default of gateways: a limit set from what was seen when it was switched on.
#[derive(Default)]
struct Static {
    largest: f64,
}

impl Rival for Static {
    fn score(&mut self, hour: usize, calls: f64) -> f64 {
        if hour < 2 * WEEK {
            self.largest = self.largest.max(calls);
            return 0.0;
        }
        calls / self.largest.max(1.0)
    }
}

/// Deviations above the mean; a scatter of less than one call is taken for one.
fn deviations(calls: f64, mean: f64, variance: f64) -> f64 {
    (calls - mean) / variance.sqrt().max(1.0)
}

const WEEK: usize = 168;
const FAST: f64 = 0.2;
const SLOW: f64 = 0.01;
