//! What a script changes in the ordinary acts of an identity.

use super::act::Act;

const HOUR: i64 = 3_600_000_000;

/// A change of what one identity does between two instants, in microseconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) from: i64,
    /// Exclusive.
    pub(super) to: i64,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// Nothing is done.
    Silent,
    /// All is dated this many microseconds later; never earlier, as a day is written in order.
    Later(i64),
    /// Every host keeps its number and moves into this network.
    Network([u8; 3]),
    /// Every hour from another host of this network.
    Pool([u8; 2]),
    /// Signed with another key, made from this number.
    Key(u64),
    /// Nothing succeeds.
    Fails,
}

impl Change {
    /// Changes what falls into its span.
    pub(super) fn apply(&self, acts: &mut Vec<Act>) {
        let within = |act: &Act| (self.from..self.to).contains(&act.ts);
        if matches!(self.what, What::Silent) {
            acts.retain(|act| !within(act));
            return;
        }
        for act in acts.iter_mut().filter(|act| within(act)) {
            let host = act.ip[3];
            match self.what {
                What::Silent => {}
                What::Later(by) => act.ts += by,
                What::Network([a, b, c]) => act.ip = [a, b, c, host],
                What::Pool([a, b]) => {
                    let hour = act.ts.div_euclid(HOUR) as u64 ^ u64::from(host) << 32;
                    let [c, d, ..] = hour.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
                    act.ip = [a, b, c, d];
                }
                What::Key(key) => act.key = key,
                What::Fails => act.outcome = "fail",
            }
        }
    }
}
