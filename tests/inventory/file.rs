//! What a file may say, and how it is told what it may not.

use std::path::Path;

use nhiwatch::inventory::{Entry, Inventory};

use super::{EXAMPLE, parse};

#[test]
fn what_is_wrong_with_a_file_is_told_with_place_and_cure() {
    let entry = |rest: &str| format!("identities:\n  - identity: a\n    {rest}\n");
    for (text, place, told) in [
        (String::new(), "1:1", "no identity is declared here"),
        ("identites: []".into(), "1:1", "did you mean `identities`?"),
        ("identities: {}".into(), "1:13", "expected a list, found"),
        (
            "identities:\n  - owner: x\n".into(),
            "2:5",
            "the key `identity` is missing",
        ),
        (
            "identities:\n  - identity: ''\n".into(),
            "2:15",
            "nothing stands here",
        ),
        (entry("ownr: x"), "3:5", "did you mean `owner`?"),
        (
            entry("identity: b"),
            "3:5",
            "the key `identity` stands here twice",
        ),
        (entry("kind: robot"), "3:11", "unknown value `robot`"),
        (
            entry("kind: service-account"),
            "3:11",
            "did you mean `service_account`?",
        ),
        (entry("status: actve"), "3:13", "did you mean `active`?"),
        (
            entry("tier: 5"),
            "3:11",
            "5 is no tier: 1 (most critical) to 4",
        ),
        (
            entry("tier: high"),
            "3:11",
            "expected a whole number, found `high`",
        ),
        (
            entry("created: 2026-2-30"),
            "3:14",
            "`2026-2-30` is no date such as 2026-01-02",
        ),
        (
            entry("created: 2026-02-30"),
            "3:14",
            "`2026-02-30` is no date",
        ),
        (
            entry("recertify_every: 90"),
            "3:22",
            "`90` is no duration such as 90d",
        ),
        (entry("recertify_every: 0d"), "3:22", "`0d` is no duration"),
        (
            entry("timezone: Europe/Lundon"),
            "3:15",
            "`Europe/Lundon` is no IANA time zone",
        ),
        (
            entry("schedule: Mon 07:00-19:00"),
            "3:15",
            "expected a list",
        ),
        (
            entry("schedule: [Mon-Fri 07:00-19:00, Mon-Fri 7-19]"),
            "3:37",
            "`Mon-Fri 7-19` is no window such as `Mon-Fri 07:00-19:00`",
        ),
        (
            entry("scope: all"),
            "3:12",
            "expected a list of actions, or keys such as",
        ),
        (
            entry("scope: {venue: [XLON]}"),
            "3:13",
            "did you mean `venues`?",
        ),
        (
            entry("scope: {venues: [lse]}"),
            "3:22",
            "`lse` is no venue's code (MIC) such as XLON",
        ),
        (
            entry("scope: {networks: [10.0.0.0/33]}"),
            "3:24",
            "is no address or network such as",
        ),
        (
            entry("scope: {max_amount: 0}"),
            "3:25",
            "0 is no amount above 0",
        ),
        (
            entry("scope: [a, [b]]"),
            "3:16",
            "expected a text, found a list",
        ),
        (
            entry("credentials: [k, {kind: mtls}]"),
            "3:22",
            "the key `id` is missing",
        ),
        (
            entry("credentials: [{id: k, kind: key}]"),
            "3:33",
            "unknown value `key`",
        ),
        (entry("honey: maybe"), "3:12", "expected true or false"),
        (
            entry("runbook: wiki/page"),
            "3:14",
            "is no address of a page",
        ),
        (
            entry("aliases: [b, c, b]"),
            "3:21",
            "`b` is the identity itself or stands here twice",
        ),
        (entry("aliases: [a]"), "3:15", "`a` is the identity itself"),
        (
            entry("tier: 1\n  - identity: a"),
            "4:15",
            "`a` is declared twice",
        ),
        (
            entry("aliases: [b]\n  - identity: b"),
            "3:15",
            "`b` is an identity of its own",
        ),
        (
            entry("aliases: [x]\n  - {identity: b, aliases: [x]}"),
            "4:29",
            "`x` is an alias of `a` already",
        ),
    ] {
        let (problems, shown) = parse(&text).expect_err(&text);
        assert_eq!(problems.len(), 1, "{shown}");
        assert!(
            shown.contains(&format!("inventory.yaml:{place}]")),
            "{text}{shown}"
        );
        let all = format!("{} {}", problems[0].message, problems[0].hint);
        assert!(all.contains(told), "{text}{shown}");
    }
}

#[test]
fn every_error_is_told_at_once() {
    let many: String = (0..40)
        .map(|n| format!("  - {{identity: s{n}, tier: 9}}\n"))
        .collect();
    let text = format!("identities:\n{many}  - identity: s1\n    aliases: [s2]\n");
    let (problems, shown) = parse(&text).unwrap_err();
    assert_eq!(problems.len(), 42, "{shown}");
    let list = (0..9)
        .map(|_| "daily 01:00-02:00")
        .collect::<Vec<_>>()
        .join(", ");
    let (problems, _) = parse(&format!(
        "identities: [{{identity: a, schedule: [{list}]}}]"
    ))
    .unwrap_err();
    assert_eq!(problems[0].message, "more than 8 in one list");
}

#[test]
fn a_file_that_is_not_there_is_the_environments_fault() {
    let errors = Inventory::load(Some(Path::new("/no/such.yaml"))).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("cannot read the inventory file /no/such.yaml")
    );
    assert_eq!(Inventory::load(None).unwrap(), Inventory::default());
}

#[test]
fn an_entry_of_the_file_reads_back_as_the_record_that_it_becomes() {
    let inventory = Inventory::load(Some(Path::new(EXAMPLE))).unwrap();
    assert_eq!(inventory.entries().len(), 3);
    for entry in inventory.entries() {
        assert_eq!(Entry::read(entry.json().as_bytes()), Ok(entry.clone()));
    }
    assert_eq!(
        inventory.aliases().identity("settlement-legacy"),
        Some("svc-settlement")
    );
    assert_eq!(inventory.aliases().identity("svc-settlement"), None);
}
