//! Which partition a key belongs to, as every Kafka client written in Java decides it.

/// The partition of `key` among `partitions`: murmur2, without its sign, modulo their number.
#[must_use]
pub fn of(key: &[u8], partitions: u32) -> u32 {
    (murmur2::murmur2(key, murmur2::KAFKA_SEED) & 0x7fff_ffff) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        let known: [(&str, i32); 6] = [
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
        for (key, hash) in known {
            let expected = (hash & 0x7fff_ffff).cast_unsigned() % 7;
            assert_eq!(of(key.as_bytes(), 7), expected, "{key}");
        }
    }
}
