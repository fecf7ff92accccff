//! What is summed, and how it is written.

use super::Config;
use crate::kernel::baseline::Day;
use crate::kernel::event::Event;
use crate::kernel::tally::Tally;

/// A sort of quantity that an event may move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Bytes.
    Bytes,
    /// Amounts of orders and payments.
    Amount,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Bytes, Self::Amount];

    /// Its name in a subject.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Amount => "amount",
        }
    }

    pub(super) const fn is_money(self) -> bool {
        matches!(self, Self::Amount)
    }

    pub(super) fn of_event(self, event: &Event<'_>) -> f64 {
        match self {
            Self::Bytes => event.bytes,
            Self::Amount => event.amount,
        }
        .unwrap_or(0.0)
        .max(0.0)
    }

    pub(super) const fn of_hour(self, tally: &Tally) -> f64 {
        match self {
            Self::Bytes => tally.bytes,
            Self::Amount => tally.amount,
        }
    }

    pub(super) const fn of_day(self, day: &Day) -> f64 {
        match self {
            Self::Bytes => day.bytes,
            Self::Amount => day.amount,
        }
    }

    /// The sum from which on it is of interest, where `usual` is usual.
    pub(super) fn gate(self, usual: f64, config: &Config) -> f64 {
        let more = match self {
            Self::Bytes => config.at_least_bytes,
            Self::Amount => config.at_least_amount,
        };
        (usual + more.get()).max(usual * config.at_least_times.get())
    }

    /// `sum` as a person reads it: `1.2 GB`, `an amount of 5000`.
    pub(super) fn text(self, sum: f64) -> String {
        if self.is_money() {
            return format!("an amount of {sum:.0}");
        }
        let (mut scaled, mut unit) = (sum, "B");
        for larger in ["kB", "MB", "GB", "TB", "PB"] {
            if scaled < 1000.0 {
                break;
            }
            scaled /= 1000.0;
            unit = larger;
        }
        format!("{scaled:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_the_unit_that_fits() {
        let text = |sum| Kind::Bytes.text(sum);
        assert_eq!(text(12.0), "12.0 B");
        assert_eq!(text(1_234_567.0), "1.2 MB");
        assert_eq!(text(3e18), "3000.0 PB");
        assert_eq!(Kind::Amount.text(1234.4), "an amount of 1234");
    }
}
