use super::*;
use crate::shard::Teardown;

#[test]
fn the_registry_holds_exactly_the_names_listed() {
    let metrics = Metrics::new().unwrap();
    let mut held: Vec<String> = metrics
        .registry
        .gather()
        .iter()
        .map(|family| family.name().to_owned())
        .collect();
    let mut listed = NAMES.to_vec();
    held.sort_unstable();
    listed.sort_unstable();
    assert_eq!(held, listed);
}

#[test]
fn every_known_label_is_there_from_the_start() {
    let text = Metrics::new().unwrap().render().unwrap();
    for fate in Fate::ALL {
        let line = format!("nhiwatch_records_total{{fate=\"{}\"}} 0\n", fate.word());
        assert!(text.contains(&line), "{line}");
    }
    for limit in Limit::ALL {
        let line = format!("nhiwatch_limits_total{{limit=\"{}\"}} 0\n", limit.word());
        assert!(text.contains(&line), "{line}");
    }
    for reason in Reason::ALL {
        let word = reason.word();
        for role in ["intake", "watch"] {
            let line =
                format!("nhiwatch_deadletters_total{{reason=\"{word}\",role=\"{role}\"}} 0\n");
            assert!(text.contains(&line), "{line}");
        }
    }
    let refused = Teardown::Refused(String::new());
    let kafka = Teardown::during("")(rdkafka::error::KafkaError::Canceled);
    assert_eq!(TEARDOWNS, [kafka.word(), refused.word()]);
    for word in TEARDOWNS {
        let line = format!("nhiwatch_teardowns_total{{reason=\"{word}\"}} 0\n");
        assert!(text.contains(&line), "{line}");
    }
    for card in CARDS {
        let line = format!(
            "nhiwatch_detector_panics_total{{detector=\"{}\"}} 0\n",
            card.name
        );
        assert!(text.contains(&line), "{line}");
    }
}

#[test]
fn clones_count_together() {
    let metrics = Metrics::new().unwrap();
    metrics.clone().records(Fate::Late, 3);
    let text = metrics.render().unwrap();
    assert!(
        text.contains("nhiwatch_records_total{fate=\"late\"} 3\n"),
        "{text}"
    );
}
