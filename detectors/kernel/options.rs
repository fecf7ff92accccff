//! Values of detector settings that cannot be wrong.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// Declares a number within bounds; what lies outside is refused while the config is read.
macro_rules! bounded {
    ($(#[$meta:meta])* $name:ident($min:literal ..= $max:literal), $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
        pub struct $name(f64);

        impl $name {
            /// `value`, brought into bounds.
            #[must_use]
            pub const fn new(value: f64) -> Self {
                Self(if value.is_nan() { $min } else { value.clamp($min, $max) })
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let value = f64::deserialize(from)?;
                if ($min..=$max).contains(&value) {
                    Ok(Self(value))
                } else {
                    let (value, what) = (plain(value), $what);
                    Err(D::Error::custom(format!(
                        "{value} is not {what} between {} and {}", $min, $max
                    )))
                }
            }
        }
    };
}

/// A number as people write it: with an exponent where it has many digits.
fn plain(value: f64) -> String {
    if value == 0.0 || (1e-6..1e15).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

bounded! {
    /// A probability below which something counts as unusual.
    Probability(1e-12 ..= 0.5), "a probability"
}

bounded! {
    /// How many times in a year something may happen by chance.
    PerYear(0.0001 ..= 1000.0), "a number per year"
}

bounded! {
    /// How many times as much.
    Ratio(1.0 ..= 1000.0), "a ratio"
}

bounded! {
    /// A number of different resources.
    Resources(1.0 ..= 1e6), "a number of resources"
}

bounded! {
    /// A number of days.
    Days(0.0 ..= 365.0), "a number of days"
}

bounded! {
    /// A number of minutes.
    Minutes(0.0 ..= 1440.0), "a number of minutes"
}

bounded! {
    /// A number of calls.
    Calls(1.0 ..= 1_000_000_000.0), "a number of calls"
}

bounded! {
    /// How much of something: bytes, or money.
    Quantity(0.0 ..= 1e18), "a quantity"
}

impl Days {
    /// As a length of time.
    #[must_use]
    pub const fn span(self) -> super::time::Span {
        super::time::Span::from_seconds((self.0 * 86_400.0) as i64)
    }
}

impl Minutes {
    /// As a length of time.
    #[must_use]
    pub const fn span(self) -> super::time::Span {
        super::time::Span::from_seconds((self.0 * 60.0) as i64)
    }
}
