//! How lists that repeat themselves are stored: hours of the week of which many are alike.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A value that comes so many times, and the values after it that do not repeat.
#[derive(Serialize, Deserialize)]
struct Run<T> {
    value: T,
    times: u16,
    then: Vec<T>,
}

/// Stores `values` as runs; the value read back is the same to the bit.
///
/// # Errors
/// Those of the serializer.
pub(super) fn serialize<T, S>(values: &[T], serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + PartialEq + Serialize,
    S: Serializer,
{
    runs(values).serialize(serializer)
}

/// Reads what [`serialize`] has stored.
///
/// # Errors
/// Those of the deserializer, and where there are more values than a list of ours has.
pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Copy + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let mut values = Vec::new();
    for run in Vec::<Run<T>>::deserialize(deserializer)? {
        values.extend(std::iter::repeat_n(run.value, usize::from(run.times)));
        values.extend(run.then);
        if values.len() > VALUES_MAX {
            return Err(de::Error::custom("a list is longer than any of ours"));
        }
    }
    Ok(values)
}

fn runs<T: Copy + PartialEq>(values: &[T]) -> Vec<Run<T>> {
    let mut runs: Vec<Run<T>> = Vec::new();
    for same in values.chunk_by(PartialEq::eq) {
        for part in same.chunks(usize::from(u16::MAX)) {
            match runs.last_mut() {
                // A new run costs more than it saves.
                Some(run) if part.len() < REPEATS_MIN => run.then.extend_from_slice(part),
                _ => runs.push(Run {
                    value: part[0],
                    times: part.len() as u16,
                    then: Vec::new(),
                }),
            }
        }
    }
    runs
}

/// From so many repeats on a run is shorter than the values.
const REPEATS_MIN: usize = 3;
const VALUES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List(#[serde(with = "super")] Vec<u16>);

    fn stored(list: &List) -> Vec<u8> {
        postcard::to_allocvec(list).unwrap()
    }

    #[test]
    fn what_repeats_is_short_and_what_does_not_costs_next_to_nothing() {
        assert!(stored(&List(vec![200; 168])).len() < 8);
        let all: Vec<u16> = (200..368).collect();
        let plain = postcard::to_allocvec(&all).unwrap().len();
        assert!(stored(&List(all)).len() <= plain + 4);
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let run = (7_u16, u16::MAX, Vec::<u16>::new());
        let bytes = postcard::to_allocvec(&vec![run; 100]).unwrap();
        assert!(postcard::from_bytes::<List>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn every_list_reads_back(values in proptest::collection::vec(0_u16..3, 0..500)) {
            let list = List(values);
            prop_assert_eq!(postcard::from_bytes::<List>(&stored(&list)).unwrap(), list);
        }
    }
}
