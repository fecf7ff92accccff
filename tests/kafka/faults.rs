//! What goes wrong between the service and the broker.

use std::time::{Duration, Instant};

use super::bank::events;
use super::broker::Broker;
use super::proxy::Proxy;
use super::service::{Service, given, note};
use super::traces::produce;
use super::trickle::Trickle;

/// A service that sees the broker through a proxy, and events that come slowly; its first is judged.
struct Run {
    service: Service,
    proxy: Proxy,
    trickle: Option<Trickle>,
    total: usize,
}

impl Run {
    fn start(broker: &Broker, name: &str, seed: u64) -> Option<Self> {
        let proxy = broker.proxy()?;
        let mut service = Service::prepare(broker, name, 2);
        service.goes_through(&proxy);
        let events = events(16, seed, true);
        let total = events.len();
        let seconds = given("NHIWATCH_FAULT_SECONDS", 15) + 5 * given("NHIWATCH_KILLS", 20);
        let time = Duration::from_secs(300 + seconds);
        let trickle = Trickle::start(broker, service.topic("events"), events, time);
        service.start();
        let first = service.wait_for("first new event after the start", SOON);
        assert!(first.is_some(), "the service does not begin");
        Some(Self {
            service,
            proxy,
            trickle: Some(trickle),
            total,
        })
    }

    /// How long it takes until something more is committed.
    fn until_it_goes_on(&self) -> f64 {
        let since = Instant::now();
        let mut before = 0;
        // Where the coordinator does not answer there is nothing to go on from.
        while before == 0 || self.service.committed() <= before {
            if before == 0 {
                before = self.service.committed();
            }
            assert!(
                since.elapsed() < SOON,
                "nothing is committed any more: {:#?}",
                self.service.said()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        since.elapsed().as_secs_f64()
    }

    /// How long it takes until it does not say any more that it works.
    fn until_it_says_so(&self) -> f64 {
        let since = Instant::now();
        while self.service.ask("/readyz").starts_with("HTTP/1.0 200") {
            assert!(since.elapsed() < SOON, "it says that it works");
            std::thread::sleep(Duration::from_millis(200));
        }
        since.elapsed().as_secs_f64()
    }

    /// Lets the broker go where librdkafka waits for it without an end.
    fn until_gone_before_offsets(&self) {
        self.proxy.gone_before_offsets();
        let since = Instant::now();
        while !self.proxy.is_gone() {
            assert!(since.elapsed() < SOON, "no transaction adds offsets");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How often it has begun again.
    fn torn(&self) -> f64 {
        let metrics = self.service.scrape();
        let torn = metrics
            .lines()
            .filter(|line| line.starts_with("nhiwatch_teardowns_total"));
        torn.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Lets the rest come, and holds everything against a run without faults; gives the number of alerts.
    fn end(mut self) -> usize {
        self.trickle.take().unwrap().finish();
        self.service.wait_for_committed(self.total as i64);
        let digests = self.service.drain();
        self.service.assert_undisturbed(&digests)
    }
}

#[test]
fn a_broker_that_is_gone_is_waited_for_without_work_or_growth() {
    let Some(broker) = Broker::alone() else {
        return;
    };
    let Some(run) = Run::start(&broker, "gone", 17) else {
        return;
    };
    let seconds = given("NHIWATCH_FAULT_SECONDS", 15);
    run.until_it_goes_on();
    let (before, _) = run.service.usage();
    run.proxy.gone(true);
    let noticed = run.until_it_says_so();
    let (settled, since) = (run.service.usage().1, Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, worked) = run.service.usage();
    let share = (worked - settled).as_secs_f64() / since.elapsed().as_secs_f64();
    let grown = (after.saturating_sub(before)) >> 20;
    run.proxy.gone(false);
    let back = run.until_it_goes_on();
    let alerts = run.end();
    note(&format!(
        "broker gone: noticed after {noticed:.1} s, then for {seconds} s {share:.3} of a core, {grown} MiB \
         more; {back:.1} s until it went on; {alerts} alerts, each once"
    ));
    assert!(share < 0.1, "{share} of a core without a broker");
    assert!(grown < 64, "{grown} MiB more without a broker");
}

#[test]
fn a_broker_that_comes_and_goes_is_gone_on_with_every_time() {
    let Some(broker) = Broker::find() else { return };
    let Some(run) = Run::start(&broker, "flaps", 47) else {
        return;
    };
    let mut seconds = Vec::new();
    for time in 0..given("NHIWATCH_KILLS", 20).div_ceil(4) {
        run.until_it_goes_on();
        match time % 2 == 0 {
            true => run.until_gone_before_offsets(),
            false => run.proxy.gone(true),
        }
        std::thread::sleep(Duration::from_secs(GONE[time as usize % GONE.len()]));
        run.proxy.gone(false);
        seconds.push(run.until_it_goes_on());
    }
    let given_up = |line: &serde_json::Value| {
        let error = line["error"].as_str();
        error.is_some_and(|error| error.contains("adding the input offsets"))
    };
    let given_up = run.service.said().iter().filter(|it| given_up(it)).count();
    assert!(given_up > 0, "no commit was given up");
    let alerts = run.end();
    seconds.sort_by(f64::total_cmp);
    note(&format!(
        "broker gone {} times for 1 to 20 s, {seconds:.1?} s until it went on; {alerts} alerts, each once",
        seconds.len()
    ));
}

#[test]
fn answers_that_never_come_are_noticed() {
    let Some(broker) = Broker::find() else { return };
    let Some(run) = Run::start(&broker, "deaf", 19) else {
        return;
    };
    run.until_it_goes_on();
    run.proxy.deaf(true);
    let noticed = run.until_it_says_so();
    run.proxy.deaf(false);
    let back = run.until_it_goes_on();
    let alerts = run.end();
    note(&format!(
        "answers lost, connections open: noticed after {noticed:.1} s, {back:.1} s until it went on; {alerts} \
         alerts, each once"
    ));
}

#[test]
fn a_commit_whose_answer_is_lost_or_that_comes_late_changes_nothing() {
    let Some(broker) = Broker::find() else { return };
    let Some(run) = Run::start(&broker, "unknown", 23) else {
        return;
    };
    let times = given("NHIWATCH_KILLS", 20).div_ceil(20);
    let mut seconds = Vec::new();
    for time in 0..2 * times {
        let held = time % 2 == 1;
        match held {
            false => run.proxy.lose_an_end(),
            // Longer than a transaction may take.
            true => run.proxy.hold_an_end(Duration::from_secs(20)),
        }
        let since = Instant::now();
        while run.proxy.to_come() > 0 {
            assert!(since.elapsed() < SOON, "no transaction ends");
            std::thread::sleep(Duration::from_millis(20));
        }
        // The first may be the one whose answer is lost.
        run.until_it_goes_on();
        run.until_it_goes_on();
        seconds.push(since.elapsed().as_secs_f64());
    }
    let alerts = run.end();
    note(&format!(
        "{times} answers to a commit lost, {times} commits 20 s late: {seconds:.1?} s until the next; {alerts} \
         alerts, each once"
    ));
}

#[test]
fn a_slow_broker_slows_down_and_tears_nothing() {
    let Some(broker) = Broker::alone() else {
        return;
    };
    let Some(run) = Run::start(&broker, "slow", 29) else {
        return;
    };
    let seconds = given("NHIWATCH_FAULT_SECONDS", 15);
    let before = run.service.committed();
    run.proxy.slow(Duration::from_millis(500));
    std::thread::sleep(Duration::from_secs(seconds));
    let done = run.service.committed() - before;
    let torn = run.torn();
    run.proxy.slow(Duration::ZERO);
    assert!(done > 0, "nothing is committed");
    let alerts = run.end();
    note(&format!(
        "half a second more for each answer, for {seconds} s: {done} events committed, begun again {torn} \
         times; {alerts} alerts, each once"
    ));
    assert!(torn < 0.5, "begun again {torn} times");
}

#[test]
fn a_service_that_is_told_to_end_ends_soon_and_repeats_nothing() {
    let Some(broker) = Broker::alone() else {
        return;
    };
    let Some(mut run) = Run::start(&broker, "drain", 31) else {
        return;
    };
    let mut seconds = Vec::new();
    for _ in 0..3 {
        run.until_it_goes_on();
        let since = Instant::now();
        let drained = run.service.drain_to();
        seconds.push(since.elapsed().as_secs_f64());
        run.service.start();
        for _ in 0..2 {
            let restored = run.service.wait_for("state restored", SOON).unwrap();
            let (_, next) = &drained[&restored["partition"].as_u64().unwrap()];
            assert_eq!(restored["next"].as_i64(), Some(*next));
            assert_eq!(
                restored["stored"], restored["next"],
                "something is replayed"
            );
        }
    }
    run.until_it_goes_on();
    run.until_gone_before_offsets();
    let since = Instant::now();
    assert!(run.service.end(), "it does not end well");
    let without = since.elapsed().as_secs_f64();
    run.proxy.gone(false);
    run.service.start();
    let alerts = run.end();
    note(&format!(
        "SIGTERM under load: ended after {seconds:.1?} s, went on where it was; without a broker after \
         {without:.1} s; {alerts} alerts, each once"
    ));
    assert!(seconds.iter().all(|seconds| *seconds < 5.0), "{seconds:?}");
    assert!(without < 19.0, "{without}");
}

#[test]
fn a_service_that_is_there_before_its_broker_begins_when_that_comes() {
    let Some(broker) = Broker::find() else { return };
    let Some(proxy) = broker.proxy() else { return };
    let mut service = Service::prepare(&broker, "early", 2);
    service.goes_through(&proxy);
    let events = events(6, 37, true);
    produce(&broker.address, &service.topic("events"), &events, None);
    proxy.gone(true);
    service.start();
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        let answer = service.ask("/readyz");
        assert!(answer.starts_with("HTTP/1.0 503"), "{answer}");
        std::thread::sleep(Duration::from_millis(500));
    }
    proxy.gone(false);
    let since = Instant::now();
    service.wait_for_committed(events.len() as i64);
    let seconds = since.elapsed().as_secs_f64();
    let digests = service.drain();
    let alerts = service.assert_undisturbed(&digests);
    note(&format!(
        "broker comes after the service: all judged {seconds:.1} s later; {alerts} alerts, each once"
    ));
}

#[test]
fn a_thin_line_slows_down_and_tears_nothing() {
    let Some(broker) = Broker::find() else { return };
    let Some(run) = Run::start(&broker, "thin", 41) else {
        return;
    };
    let seconds = given("NHIWATCH_FAULT_SECONDS", 15);
    run.until_it_goes_on();
    let ((before, _), done) = (run.service.usage(), run.service.committed());
    run.proxy.thin(3_000);
    std::thread::sleep(Duration::from_secs(seconds));
    let grown = run.service.usage().0.saturating_sub(before) >> 20;
    let (torn, waited) = (run.torn(), run.proxy.waited().as_secs_f64());
    run.proxy.thin(0);
    // While a transaction is open, how far it has come is not answered; the one that was ends now.
    let done = run.service.committed() - done;
    let alerts = run.end();
    note(&format!(
        "3 kB/s to write, for {seconds} s, of which {waited:.0} s were waited for it: {done} events committed, begun again {torn} \
         times, {grown} MiB more; {alerts} alerts, each once"
    ));
    assert!(waited > 1.0, "the line was not thin");
    assert!(torn < 0.5, "begun again {torn} times");
    assert!(grown < 64, "{grown} MiB more where it cannot write");
}

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_no_alert_and_doubles_none() {
    let Some(broker) = Broker::find() else { return };
    let Some(run) = Run::start(&broker, "bounce", 43) else {
        return;
    };
    let mut seconds = Vec::new();
    for time in 0..given("NHIWATCH_KILLS", 20).div_ceil(10) {
        run.until_it_goes_on();
        if time % 2 == 1 {
            run.until_gone_before_offsets();
        }
        if !broker.bounce() {
            return;
        }
        run.proxy.gone(false);
        seconds.push(run.until_it_goes_on());
    }
    let alerts = run.end();
    note(&format!(
        "broker killed and started again {} times, {seconds:.1?} s until it went on; {alerts} alerts, each once",
        seconds.len()
    ));
}

/// Seconds, shorter and longer than a session; at the third, while offsets are committed, longer than a commit is waited for.
const GONE: [u64; 5] = [1, 4, 20, 7, 3];
const SOON: Duration = Duration::from_secs(60);
