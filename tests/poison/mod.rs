//! Records that cannot be read, each for a reason of its own.

use nhiwatch::wire::Reason;
use nhiwatch::wire::event::RECORD_MAX;

/// An event that can.
pub(crate) const GOOD: &str =
    r#"{"ts":"2026-11-22T02:13:07Z","identity":"svc","action":"s3:GetObject"}"#;

/// The good event with `fields` added.
pub(crate) fn with(fields: &str) -> Vec<u8> {
    format!("{},{fields}}}", &GOOD[..GOOD.len() - 1]).into_bytes()
}

/// What each is called, what it is, and why it is refused.
pub(crate) fn poisons() -> Vec<(&'static str, Vec<u8>, Reason)> {
    let many: Vec<String> = (0..100_000).map(|n| format!("\"f{n:06}\":0")).collect();
    let few: Vec<String> = (0..2000).map(|n| format!("\"f{n}\":0")).collect();
    vec![
        ("empty", b"".to_vec(), Reason::Empty),
        ("blank", b" \n".to_vec(), Reason::Empty),
        ("null", b"null".to_vec(), Reason::WrongType),
        ("truncated", GOOD.as_bytes()[..40].to_vec(), Reason::Json),
        (
            "wrong type",
            br#"{"ts":1790000000,"identity":7,"action":"a"}"#.to_vec(),
            Reason::WrongType,
        ),
        ("deep", "[".repeat(10_000).into_bytes(), Reason::WrongType),
        (
            "deep inside",
            with(&format!("\"x\":{}", "[".repeat(10_000))),
            Reason::Json,
        ),
        (
            "1 MiB string",
            with(&format!("\"x\":\"{}\"", "a".repeat(RECORD_MAX))),
            Reason::TooLarge,
        ),
        (
            "long string",
            with(&format!("\"app\":\"{}\"", "a".repeat(9000))),
            Reason::TooLarge,
        ),
        ("100k fields", with(&many.join(",")), Reason::TooLarge),
        ("2k fields", with(&few.join(",")), Reason::TooLarge),
        ("repeated key", with("\"identity\":\"root\""), Reason::Json),
        (
            "bad UTF-8",
            b"{\"ts\":1790000000,\"identity\":\"\xff\",\"action\":\"a\"}".to_vec(),
            Reason::Utf8,
        ),
        ("lone surrogate", with(r#""app":"\ud800""#), Reason::Json),
        ("raw NUL", with("\"app\":\"\0\""), Reason::Json),
        ("escaped NUL", with(r#""app":"\u0000""#), Reason::WrongType),
        ("NaN", with("\"amount\":NaN"), Reason::Json),
        ("1e999", with("\"amount\":1e999"), Reason::Json),
        ("1e999 inside", with("\"x\":[1e999]"), Reason::Json),
        (
            "integer overflow",
            with("\"asn\":4294967296"),
            Reason::WrongType,
        ),
        (
            "huge time",
            br#"{"ts":99999999999999999999,"identity":"s","action":"a"}"#.to_vec(),
            Reason::Timestamp,
        ),
        ("count of 0", with("\"count\":0"), Reason::WrongType),
        (
            "unknown word",
            with("\"class\":\"magic\""),
            Reason::WrongType,
        ),
        (
            "unknown schema",
            br#"{"user":"a","verb":"b"}"#.to_vec(),
            Reason::MissingField,
        ),
        (
            "empty identity",
            br#"{"ts":1790000000,"identity":"","action":"a"}"#.to_vec(),
            Reason::MissingField,
        ),
        (
            "Avro in JSON",
            br#"{"ts":{"long":1790000000},"identity":{"string":"s"},"action":"a"}"#.to_vec(),
            Reason::WrongType,
        ),
        ("binary Avro", b"\0\0\0\0\x07\x02svc".to_vec(), Reason::Json),
        (
            "byte order mark",
            format!("\u{feff}{GOOD}").into_bytes(),
            Reason::Json,
        ),
        (
            "trailing bytes",
            format!("{GOOD}{GOOD}").into_bytes(),
            Reason::Json,
        ),
    ]
}
