//! Arrivals of identities that nothing is wrong with: ten families, half of them not the detectors' own
//! models.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, Gamma, Poisson, StandardNormal};

/// How an identity's calls arrive while nothing is wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Family {
    Poisson,
    NegativeBinomial,
    Wandering,
    Cron,
    Batch,
    ZeroInflated,
    WanderingWidely,
    Storms,
    Regimes,
    Growing,
}

impl Family {
    pub(crate) const ALL: [Self; 10] = [
        Self::Poisson,
        Self::NegativeBinomial,
        Self::Wandering,
        Self::Cron,
        Self::Batch,
        Self::ZeroInflated,
        Self::WanderingWidely,
        Self::Storms,
        Self::Regimes,
        Self::Growing,
    ];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Poisson => "Poisson",
            Self::NegativeBinomial => "negative binomial, kappa 4",
            Self::Wandering => "lognormal rate, sd 0.5, AR(0.9)",
            Self::Cron => "cron, 0.2 % missed, 1 % doubled",
            Self::Batch => "batches, 2 an hour, lognormal sizes, sd 1",
            Self::ZeroInflated => "active in 30 % of hours",
            Self::WanderingWidely => "lognormal rate, sd 1, AR(0.8)",
            Self::Storms => "retry storms, 0.3 % of hours, x2 to x20",
            Self::Regimes => "two regimes, x4, a day each on average",
            Self::Growing => "Poisson, growing 3 % a week",
        }
    }
}

/// One identity of a family.
pub(crate) struct Null {
    dice: ChaCha8Rng,
    family: Family,
    /// Calls in one of its busy hours.
    mean: f64,
    /// What an hour outside business hours brings, in times of that; nothing for who has none.
    quiet: Option<f64>,
    /// Minutes between runs of a cron job, and at which minute it first runs.
    every: u32,
    phase: u32,
    /// Where the wandering rate stands, and which regime holds.
    level: f64,
    high: bool,
}

impl Null {
    /// Identity number `number` of `seed`; what one does tells nothing of another.
    pub(crate) fn new(family: Family, seed: u64, number: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(number);
        let mean = 0.5 * 6000_f64.powf(dice.random());
        let business = dice.random::<f64>() < 0.6;
        let sleeps = dice.random::<bool>() || family == Family::Cron;
        let every = [1, 2, 5, 10, 15, 30, 60][dice.random_range(0..7)];
        let phase = dice.random_range(0..every);
        let level = StandardNormal.sample(&mut dice);
        Self {
            mean,
            quiet: business.then_some(if sleeps { 0.0 } else { 0.01 }),
            every,
            phase,
            level,
            high: dice.random(),
            family,
            dice,
        }
    }

    /// The records of hour `hour` since a Monday, each at a second of the hour with its calls.
    pub(crate) fn hour(&mut self, hour: u32, records: &mut Vec<(u32, u64)>) {
        let (weekday, of_day) = (hour / 24 % 7, hour % 24);
        let busy = weekday < 5 && (8..18).contains(&of_day);
        let share = self.quiet.filter(|_| !busy).unwrap_or(1.0);
        let mean = self.mean * share;
        let calls = match self.family {
            Family::Poisson => self.poisson(mean),
            Family::NegativeBinomial => {
                let times = Gamma::new(4.0, 0.25).map_or(1.0, |law| law.sample(&mut self.dice));
                self.poisson(mean * times)
            }
            Family::Wandering => {
                let times = self.wander(0.9, 0.5);
                self.poisson(mean * times)
            }
            Family::WanderingWidely => {
                let times = self.wander(0.8, 1.0);
                self.poisson(mean * times)
            }
            Family::Cron => return self.cron(share > 0.0, records),
            Family::Batch => return self.batches(share, records),
            Family::ZeroInflated => {
                let active = self.happens(0.3);
                self.poisson(if active { mean } else { 0.0 })
            }
            Family::Storms => {
                let storm = self.happens(0.003);
                let times = 2.0 * 10_f64.powf(self.dice.random());
                self.poisson(if storm { mean * times } else { mean })
            }
            Family::Regimes => {
                self.high ^= self.happens(1.0 / 24.0);
                self.poisson(if self.high { 4.0 * mean } else { mean })
            }
            Family::Growing => self.poisson(mean * 1.03_f64.powf(f64::from(hour) / 168.0)),
        };
        self.spread(calls, records);
    }

    fn happens(&mut self, p: f64) -> bool {
        self.dice.random::<f64>() < p
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        Poisson::new(mean).map_or(0, |law| law.sample(&mut self.dice) as u64)
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.dice)
    }

    /// The rate's next multiple, of mean 1: lognormal, with this autocorrelation from hour to hour.
    fn wander(&mut self, kept: f64, sd: f64) -> f64 {
        self.level = kept * self.level + (1.0 - kept * kept).sqrt() * self.normal();
        (sd * self.level - sd * sd / 2.0).exp()
    }

    fn cron(&mut self, works: bool, records: &mut Vec<(u32, u64)>) {
        let mut minute = self.phase;
        while works && minute < 60 {
            let (missed, doubled) = (self.happens(0.002), self.happens(0.01));
            if !missed {
                records.push((minute * 60, if doubled { 2 } else { 1 }));
            }
            minute += self.every;
        }
    }

    fn batches(&mut self, share: f64, records: &mut Vec<(u32, u64)>) {
        for _ in 0..self.poisson(2.0 * share) {
            let size = self.mean / 2.0 * (self.normal() - 0.5).exp();
            let second = self.dice.random_range(0..3600);
            records.push((second, size.round().max(1.0) as u64));
        }
    }

    /// Few calls are a record each, at any time; many come in one record for every minute.
    fn spread(&mut self, calls: u64, records: &mut Vec<(u32, u64)>) {
        if calls <= MINUTES {
            for _ in 0..calls {
                records.push((self.dice.random_range(0..3600), 1));
            }
            return;
        }
        let mut left = calls;
        for minute in 0..MINUTES {
            let share = 1.0 / (MINUTES - minute) as f64;
            let here = Binomial::new(left, share).map_or(0, |law| law.sample(&mut self.dice));
            if here > 0 {
                records.push((minute as u32 * 60 + 59, here));
            }
            left -= here;
        }
    }
}

const MINUTES: u64 = 60;
