//! For how long what is suspect is held back from learning.

use serde::{Deserialize, Serialize};

/// How many days in a row were suspect: what goes on for more than a week has become usual.
///
/// A detector that keeps one learns nothing of suspect windows until then. [`quarantine`] does the same
/// for the counts that all share.
///
/// [`quarantine`]: super::quarantine
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    suspect_days: u8,
}

impl Patience {
    /// Whether a window is held back, where it is `suspect`.
    #[must_use]
    pub const fn holds_back(self, suspect: bool) -> bool {
        suspect && self.suspect_days < DAYS
    }

    /// Takes in a day that is over.
    pub const fn note_day(&mut self, suspect: bool) {
        self.suspect_days = if suspect {
            self.suspect_days.saturating_add(1)
        } else {
            0
        };
    }
}

/// Days in a row that may be held back.
const DAYS: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_after_a_week_and_begins_anew_after_a_day_of_which_nothing_is_suspect() {
        let mut patience = Patience::default();
        let mut held = 0;
        for _ in 0..20 {
            held += i32::from(patience.holds_back(true));
            patience.note_day(true);
        }
        assert_eq!(held, 7);
        assert!(!patience.holds_back(false));
        patience.note_day(false);
        assert!(patience.holds_back(true) && !patience.holds_back(false));
    }
}
