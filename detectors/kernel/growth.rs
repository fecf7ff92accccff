//! When to look again at what only grows.

/// Whether what has grown from `before` to `after` is worth computing a tail for: when it passes the
/// `gate`, and then whenever it has grown by a twelfth.
///
/// The law of the whole window is held against the window as it grows, so that looking often costs
/// nothing. What is skipped delays a finding, and never causes one; it is seen when the window is over.
#[must_use]
pub fn worth_a_look(before: f64, after: f64, gate: f64) -> bool {
    let rung = |sum: f64| libm::floor(libm::log(sum) / libm::log(STEP));
    before < gate || rung(before) < rung(after)
}

const STEP: f64 = 1.08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_at_the_gate_and_at_each_twelfth_above() {
        assert!(worth_a_look(99.0, 100.0, 100.0));
        let looks = (100..1000).filter(|n| worth_a_look(f64::from(*n), f64::from(n + 1), 100.0));
        assert!((28..32).contains(&looks.count()));
        assert!(worth_a_look(100.0, 1e9, 100.0));
    }
}
