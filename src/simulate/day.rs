//! What an ordinary day of each family looks like.

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};

use super::act::{Act, Facts, Step};
use super::identity::{Family, Identity};
use super::market::{is_weekend, local};

const SECOND: f64 = 1_000_000.0;
/// How far inside the session the algorithms stay.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

impl Identity {
    /// Everything it does on `date` (UTC), at `scale` times its usual rate, in no order.
    ///
    /// A chain may run on a little past midnight; nothing is before it.
    pub(super) fn day(&mut self, date: NaiveDate, scale: f64) -> Vec<Act> {
        let mut acts = Vec::new();
        match self.family {
            Family::Algo => {
                if let Some((open, close)) = self.market().session(date) {
                    self.trade(open, close, scale, &mut acts);
                }
            }
            Family::Batch => self.run_job(date, scale, &mut acts),
            _ => self.keep_hours(date, scale, &mut acts),
        }
        acts
    }

    /// Does `step` at `ts`, with everything else as is usual for it.
    pub(super) fn act(&mut self, ts: i64, step: Step, session: Option<u64>) -> Act {
        // A session stays on the host it began on.
        let address = match session {
            Some(session) => (session % self.ips.len() as u64) as usize,
            None => self.chance.zipf(self.ips.len(), 1.0),
        };
        let luck = self.chance.between(0.0, 1.0);
        let facts = match step.class {
            "order" => self.order(),
            "payment" => Facts::Payment {
                amount: self.chance.lognormal(900.0, 1.2),
                currency: if self.zone == chrono_tz::America::New_York {
                    "USD"
                } else {
                    "EUR"
                },
            },
            "read" if self.family != Family::Payment => {
                Facts::Bytes(self.chance.lognormal(6_000.0, 1.0) as u64)
            }
            _ => Facts::None,
        };
        // The audit trail of the cloud knows whole seconds only.
        let ts = if self.is_cloud() {
            ts - ts.rem_euclid(1_000_000)
        } else {
            ts
        };
        Act {
            ts,
            who: self.who,
            uid: self.chance.bits(),
            step,
            number: self.chance.zipf(400, 0.7),
            ip: self.ips[address],
            outcome: match luck {
                _ if luck < 0.004 => "fail",
                _ if luck < 0.005 => "denied",
                _ => "ok",
            },
            session,
            key: 0,
            approval: None,
            facts,
        }
    }

    fn order(&mut self) -> Facts {
        let venue = self.market();
        let symbol = self.symbols[self.chance.zipf(self.symbols.len(), 0.8)];
        let quantity = 100 * (1 + self.chance.lognormal(3.0, 0.7) as u32);
        Facts::Order {
            venue: venue.mic,
            symbol,
            side: if self.chance.happens(0.5) {
                "buy"
            } else {
                "sell"
            },
            quantity,
            amount: f64::from(quantity) * self.chance.between(20.0, 220.0),
            currency: venue.currency,
        }
    }

    /// Bursts of orders, each perhaps amended or cancelled a little later.
    pub(super) fn trade(
        &mut self,
        open: DateTime<Utc>,
        close: DateTime<Utc>,
        scale: f64,
        acts: &mut Vec<Act>,
    ) {
        let (first, last) = (micros(open + MARGIN), micros(close - MARGIN));
        let [create, amend, cancel] = [self.steps[0], self.steps[1], self.steps[2]];
        let mut hour = i64::MIN;
        let mut busy = 1.0;
        let mut at = first;
        loop {
            if at / 3_600_000_000 != hour {
                hour = at / 3_600_000_000;
                busy = self.mood.step(&mut self.chance);
            }
            let mean = 3600.0 / (self.rate * busy * scale).max(0.05);
            at += (self.chance.weibull(mean, self.shape) * SECOND) as i64;
            if at >= last {
                return;
            }
            let order = self.act(at, create, None);
            let number = order.number;
            acts.push(order);
            for (follow_up, odds) in [(amend, 0.15), (cancel, 0.3)] {
                let later = at + (self.chance.lognormal(20.0, 1.0) * SECOND) as i64;
                if self.chance.happens(odds) && later < last {
                    let mut act = self.act(later, follow_up, None);
                    act.number = number;
                    acts.push(act);
                }
            }
        }
    }

    /// One nightly run: start, a compound batch of work, end; now and then it is missed.
    fn run_job(&mut self, date: NaiveDate, scale: f64, acts: &mut Vec<Act>) {
        let size = self.rate * self.mood.step(&mut self.chance) * scale;
        let session = Some(self.chance.bits() as u64);
        if self.chance.happens(0.03) {
            return;
        }
        let due = micros(local(self.zone, date, self.hours.0, self.hours.1));
        let mut at = due + (self.chance.lognormal(8.0, 0.6) * SECOND) as i64;
        let [start, query, read, write, end] = [
            self.steps[0],
            self.steps[1],
            self.steps[2],
            self.steps[3],
            self.steps[4],
        ];
        let mut plan = vec![start];
        while (plan.len() as f64) < size {
            plan.push(query);
            plan.extend((0..1 + self.chance.zipf(4, 0.8)).map(|_| read));
            plan.push(write);
        }
        plan.push(end);
        for step in plan {
            acts.push(self.act(at, step, session));
            at += (self.chance.weibull(14.0, self.shape) * SECOND) as i64;
        }
    }

    /// Calls, sessions or small batches, hour by hour at a wandering rate.
    fn keep_hours(&mut self, date: NaiveDate, scale: f64, acts: &mut Vec<Act>) {
        let midnight = date.and_time(NaiveTime::MIN).and_utc();
        let daily = Some(self.tag ^ u64::from(midnight.timestamp().unsigned_abs() as u32));
        for hour in 0..24 {
            let begin = midnight + Duration::hours(hour);
            let local = begin.with_timezone(&self.zone);
            let profile = self.profile(local.hour(), is_weekend(local.date_naive()));
            let expected = self.rate * profile * self.mood.step(&mut self.chance) * scale;
            if expected < 0.01 {
                continue;
            }
            // Gaps are counted in expected calls, so that they reach over the hours' ends.
            while self.wait < expected {
                let at = micros(begin) + (self.wait / expected * 3600.0 * SECOND) as i64;
                self.call(at, daily, acts);
                self.wait += self.chance.weibull(1.0, self.shape).max(1e-6);
            }
            self.wait -= expected;
        }
    }

    /// One arrival: a call, or what comes together.
    fn call(&mut self, at: i64, daily: Option<u64>, acts: &mut Vec<Act>) {
        if self.family == Family::Agent {
            let flow = self.workflows[self.chance.zipf(self.workflows.len(), 1.0)];
            let session = Some(self.chance.bits() as u64);
            let mut at = at;
            for &step in flow {
                acts.push(self.act(at, step, session));
                at += (self.chance.lognormal(6.0, 0.7) * SECOND) as i64;
            }
            return;
        }
        let together = match self.family {
            Family::Payment | Family::Integration if self.chance.happens(0.05) => {
                2 + self.chance.zipf(8, 0.7)
            }
            _ => 1,
        };
        let session = if self.is_cloud() { daily } else { None };
        for nth in 0..together {
            let step = self.steps[self.chance.zipf(self.steps.len(), self.skew)];
            acts.push(self.act(at + nth as i64 * 180_000, step, session));
        }
    }

    /// The share of its rate at a local hour.
    fn profile(&self, hour: u32, weekend: bool) -> f64 {
        let at_work = (self.hours.0..self.hours.1).contains(&hour);
        match self.family {
            Family::Poller => 1.0,
            // Averages to 1 over a day.
            Family::Cloud => {
                1.0 + 0.5 * ((f64::from(hour) - 8.0) * std::f64::consts::TAU / 24.0).sin()
            }
            Family::Integration if weekend => 0.4,
            Family::Integration => match hour {
                8..=11 | 15..=18 => 1.6,
                1..=5 => 0.3,
                _ => 0.8,
            },
            _ if weekend || !at_work => 0.0,
            _ if hour == 12 => 0.6,
            _ => 1.0,
        }
    }
}

/// Microseconds since 1970.
pub(super) fn micros(at: chrono::DateTime<chrono::Utc>) -> i64 {
    at.timestamp_micros()
}
