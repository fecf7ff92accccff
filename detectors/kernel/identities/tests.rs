use super::*;

const NOW: Timestamp = Timestamp::from_hour(500_000);

/// Somebody acts at `ts`, the partition's time, in a partition that has been watched for long.
fn see(identities: &mut Identities, identity: &str, ts: Timestamp) -> Result<(), Limit> {
    let slot = identities.admit(identity, ts, true)?;
    act(identities, slot, ts, ts);
    Ok(())
}

fn act(identities: &mut Identities, slot: u32, ts: Timestamp, front: Timestamp) {
    let memory = identities.memory(slot).expect("was just admitted");
    let (was, known) = (memory.unproven(), memory.baseline.first_seen);
    memory.hot.last = memory.hot.last.max(ts);
    let name = memory.identity.to_string();
    if memory.baseline.begin(ts) {
        identities.born(&name, known, ts, front);
    }
    identities.place(slot, was);
}

/// So many identities of one issuer with a history, as of a week ago.
fn established(identities: &mut Identities, many: usize) {
    let since = NOW.minus(Span::WEEK);
    for ts in [since, since.plus(Span::DAY).plus(Span::HOUR)] {
        for n in 0..many {
            let slot = identities.admit(&format!("old-{n}"), ts, false);
            act(identities, slot.unwrap(), ts, ts);
        }
    }
}

fn are_there(identities: &Identities, names: impl IntoIterator<Item = String>) -> bool {
    names
        .into_iter()
        .all(|name| identities.find(&name).is_some())
}

#[test]
fn who_comes_in_a_flood_is_turned_away_and_nobody_with_a_history_gives_way() {
    let mut identities = Identities::new(100, 3);
    established(&mut identities, 5);
    for n in 0..1000 {
        let expected = if n < 3 { Ok(()) } else { Err(Limit::Newcomers) };
        assert_eq!(see(&mut identities, &format!("new-{n}"), NOW), expected);
    }
    assert_eq!(identities.len(), 8);
    assert!(are_there(&identities, (0..5).map(|n| format!("old-{n}"))));
    assert_eq!(see(&mut identities, "new-1", NOW), Ok(()), "it is known");
}

#[test]
fn who_comes_from_elsewhere_finds_room_in_a_flood_and_so_does_who_is_declared() {
    let mut identities = Identities::new(8, 3);
    established(&mut identities, 5);
    for n in 0..10 {
        let _ = see(&mut identities, &format!("flood/{n}"), NOW);
    }
    assert_eq!(see(&mut identities, "pay/gw", NOW), Ok(()));
    assert_eq!(identities.find("flood/2"), None, "the latest gives way");
    let declared = identities.admit_rather("cards/gw", NOW).unwrap();
    identities.declare(declared, Some(Declared::default()));
    act(&mut identities, declared, NOW, NOW);
    assert_eq!(identities.find("flood/1"), None);
    assert!(are_there(&identities, (0..5).map(|n| format!("old-{n}"))));
    // Who is declared is no newcomer: another one from elsewhere still finds the flood's last place taken by one.
    assert_eq!(see(&mut identities, "pay/gw2", NOW), Err(Limit::Identities));
    identities.declare(declared, None);
    assert_eq!(
        identities.newcomers.take_latest().as_deref(),
        Some("pay/gw")
    );
    assert_eq!(
        identities.newcomers.take_latest().as_deref(),
        Some("flood/0")
    );
    assert_eq!(
        identities.newcomers.take_latest().as_deref(),
        Some("cards/gw")
    );
}

#[test]
fn on_the_first_days_there_is_room_for_as_many_as_there_are() {
    let mut identities = Identities::new(10, 3);
    for n in 0..10 {
        let slot = identities.admit(&format!("svc-{n}"), NOW, false).unwrap();
        act(&mut identities, slot, NOW, NOW);
    }
    let full = identities.admit("svc-10", NOW, false);
    assert_eq!(full, Err(Limit::Identities));
}

#[test]
fn who_never_came_back_gives_way_after_a_day_where_there_is_no_room() {
    let mut identities = Identities::new(3, 3);
    for (name, hours) in [("once", 0), ("twice", 1), ("thrice", 2)] {
        see(&mut identities, name, NOW.plus(Span::HOUR.times(hours))).unwrap();
    }
    see(&mut identities, "twice", NOW.plus(Span::HOUR.times(26))).unwrap();
    let later = NOW.plus(Span::HOUR.times(27));
    assert_eq!(see(&mut identities, "new", later), Ok(()));
    assert_eq!(identities.find("once"), None);
    assert!(identities.find("twice").is_some());
    assert_eq!(see(&mut identities, "newer", later), Ok(()));
    assert_eq!(identities.find("thrice"), None);
    assert_eq!(
        see(&mut identities, "newest", later),
        Err(Limit::Identities)
    );
    assert_eq!(identities.evicted(), 2);
}

#[test]
fn what_a_flood_leaves_to_store_is_what_found_room_each_once() {
    let mut identities = Identities::new(1000, 100);
    for n in 0..1000 {
        let ts = NOW.plus(Span::from_micros(n));
        let _ = see(&mut identities, &format!("new-{n:03}"), ts);
    }
    let mut stored = Vec::new();
    identities.take_dirty(|memory, hot, rest| {
        assert!(hot && rest);
        stored.push(memory.identity.to_string());
    });
    let standing: Vec<String> = (0..100).map(|n| format!("new-{n:03}")).collect();
    assert_eq!(stored, standing);
    assert!(identities.take_deleted().is_empty());
    identities.take_dirty(|memory, _, _| panic!("{} was stored", &*memory.identity));
    for n in 0..30 {
        see(&mut identities, &format!("else/{n}"), NOW.plus(Span::HOUR)).unwrap();
    }
    assert_eq!(identities.take_deleted().len(), 30);
}

#[test]
fn who_comes_back_before_it_is_deleted_is_deleted_when_it_goes_again() {
    let mut identities = Identities::new(1, 1);
    see(&mut identities, "a", NOW).unwrap();
    identities.take_dirty(|_, _, _| {});
    for (name, days) in [("b", 2), ("a", 4), ("c", 6)] {
        see(&mut identities, name, NOW.plus(Span::DAY.times(days))).unwrap();
    }
    let deleted: Vec<_> = identities.take_deleted().into_iter().collect();
    assert_eq!(deleted, ["a".into()]);
}

#[test]
fn those_who_were_never_seen_are_bounded_too_and_are_newcomers_once_they_act() {
    let mut identities = Identities::new(100, 3);
    for n in 0..10 {
        assert!(identities.admit_rather(&format!("late-{n}"), NOW).is_some());
    }
    assert_eq!((identities.len(), identities.evicted()), (3, 7));
    for n in 0..3 {
        see(&mut identities, &format!("new-{n}"), NOW).unwrap();
    }
    assert_eq!(see(&mut identities, "late-9", NOW), Err(Limit::Newcomers));
}

#[test]
fn who_is_stored_and_has_no_open_hour_sleeps_until_it_is_looked_at() {
    let mut identities = Identities::new(10, 10);
    see(&mut identities, "a", NOW).unwrap();
    let slot = identities.find("a").unwrap();
    let is_awake = |identities: &Identities| matches!(identities.sorted()[0], Known::Awake(_));
    identities.doze();
    assert!(is_awake(&identities), "it is not stored");
    identities.take_dirty(|_, _, _| {});
    assert!(!is_awake(&identities));
    assert_eq!(identities.find("a"), Some(slot));
    let memory = identities.memory(slot).unwrap();
    assert_eq!(memory.baseline.first_seen, Some(NOW));
    assert!(is_awake(&identities));
    identities.doze();
    assert!(!is_awake(&identities));
}

#[test]
fn where_everybody_has_a_history_a_newcomer_finds_no_room() {
    let mut identities = Identities::new(2, 2);
    established(&mut identities, 2);
    assert_eq!(see(&mut identities, "c", NOW), Err(Limit::Identities));
}
