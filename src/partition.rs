//! Which partition a key belongs to, as every Kafka client that follows Java's has it.

use murmur2::{KAFKA_SEED, murmur2};

/// The partition, of `partitions` (at least one), that records with `key` go to.
///
/// The same as Java's default partitioner, so that files are split as the topics are.
#[must_use]
pub fn of(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2(key, KAFKA_SEED) & 0x7fff_ffff;
    positive.cast_signed() % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own test of this hash.
    const KNOWN: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ];

    #[test]
    fn hashes_are_those_of_kafka() {
        for (key, hash) in KNOWN {
            assert_eq!(
                murmur2(key.as_bytes(), KAFKA_SEED).cast_signed(),
                hash,
                "{key}"
            );
        }
    }

    #[test]
    fn partitions_are_those_of_the_java_client() {
        for (key, hash) in KNOWN {
            for partitions in [1, 2, 4, 7, 100] {
                let expected = (hash & i32::MAX) % partitions;
                assert_eq!(of(key.as_bytes(), partitions), expected, "{key}");
            }
        }
        assert_eq!(
            of(b"foobar", 4),
            2,
            "-790332482 without its sign is 1357151166"
        );
        assert_eq!(of(b"foobar", 0), 0);
    }
}
