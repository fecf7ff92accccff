//! The rights that a service needs of Kafka, so that whoever is refused can be told what to grant.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::settings::INTAKE_GROUP;
use crate::config::Config;
use crate::metrics::Role;
use crate::shard::{GROUP, Teardown};

/// What `role` works with.
struct Needs<'c> {
    reads: Vec<&'c str>,
    writes: Vec<&'c str>,
    group: &'static str,
}

impl<'c> Needs<'c> {
    fn of(role: Role, config: &'c Config) -> Self {
        let topics = &config.topics;
        match role {
            Role::Intake => {
                let raw = config.sources.iter().map(|source| source.topic.as_str());
                let mut reads: Vec<&str> = raw.collect();
                reads.extend([topics.inventory.as_str(), topics.feedback.as_str()]);
                Self {
                    reads,
                    writes: vec![&topics.events, &topics.deadletter],
                    group: INTAKE_GROUP,
                }
            }
            Role::Watch => Self {
                reads: vec![&topics.events, &topics.state],
                writes: vec![&topics.state, &topics.alerts, &topics.deadletter],
                group: GROUP,
            },
        }
    }
}

/// What must be granted where `error` says that `role` lacks a right; nothing where it says something else.
#[must_use]
pub fn missing(error: &Teardown, role: Role, config: &Config) -> Option<String> {
    let Teardown::Broker { source, .. } = error else {
        return None;
    };
    let code = source.downcast_ref::<KafkaError>()?.rdkafka_error_code()?;
    let Needs {
        reads,
        writes,
        group,
    } = Needs::of(role, config);
    Some(match code {
        Code::TopicAuthorizationFailed => format!(
            "the broker refuses a topic: grant READ on {}; WRITE on {}",
            reads.join(", "),
            writes.join(", ")
        ),
        Code::GroupAuthorizationFailed => {
            format!("the broker refuses the group: grant READ on group {group}")
        }
        Code::TransactionalIdAuthorizationFailed => format!(
            "the broker refuses the transactional id: grant WRITE on those that begin with {group}-{}",
            config.kafka.instance
        ),
        Code::ClusterAuthorizationFailed => {
            "the broker refuses to write idempotently: grant IDEMPOTENT_WRITE on the cluster"
                .to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_right() {
        let page = include_str!("../../docs/kafka-rights.md");
        let config = Config::default();
        for role in [Role::Intake, Role::Watch] {
            let needs = Needs::of(role, &config);
            let rights = [("READ", &needs.reads), ("WRITE", &needs.writes)];
            for (right, topics) in rights {
                for topic in topics {
                    let row = format!("| {} | topic `{topic}` | {right} |", role.word());
                    assert!(page.contains(&row), "{row}");
                }
            }
            let group = format!("| {} | group `{}` | READ |", role.word(), needs.group);
            assert!(page.contains(&group), "{group}");
        }
    }

    #[test]
    fn what_is_no_matter_of_rights_is_not_told_as_one() {
        let told = |code| {
            let error = Teardown::during("consuming")(KafkaError::MessageConsumption(code));
            missing(&error, Role::Watch, &Config::default())
        };
        assert_eq!(told(Code::OperationTimedOut), None);
        let group = told(Code::GroupAuthorizationFailed).unwrap();
        assert!(group.contains("READ on group nhiwatch-watch"), "{group}");
    }
}
