//! Which partitions the intake reads, from where, and which topics it lacks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::declared::Declared;
use super::lane::Lane;
use super::merge::Merge;
use super::pulse::Pulse;
use super::taken::Content;
use super::{Intake, PART};
use crate::config::{Profile, Start};
use crate::kafka::assignment::Rebalance;
use crate::kafka::{offsets, settings};
use crate::service::Service;
use crate::shard::Teardown;
use crate::wire::control::Control;

impl<'s> Intake<'s> {
    /// Carries out what the group has decided.
    pub(super) fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), Teardown> {
        match rebalance {
            Rebalance::Revoked => {
                if !self.consumer.assignment_lost() {
                    self.commit()?;
                } else if self.transaction.age().is_some() {
                    return Err(Teardown::Refused("the assignment was lost".to_owned()));
                }
                self.lanes.clear();
                self.merge = Merge::default();
                self.pulse = Pulse::new(self.partitions, Instant::now());
                self.service
                    .health
                    .set_unready(PART, "waiting for partitions");
                self.consumer
                    .unassign()
                    .map_err(Teardown::during("unassigning"))
            }
            Rebalance::Assigned(partitions) => self.assign(&partitions),
        }
    }

    fn assign(&mut self, partitions: &TopicPartitionList) -> Result<(), Teardown> {
        let list = self.begin(partitions)?;
        // Before any event goes, every name must be known.
        self.aliases = self.service.inventory.aliases().clone();
        let topic = &self.service.config.topics.inventory;
        self.declared = Declared::open(self.client, topic, &mut self.aliases)?;
        self.consumer
            .assign(&list)
            .map_err(Teardown::during("assigning"))?;
        let now = Instant::now();
        for element in list.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let (Offset::Offset(next), Some((_, content))) = (
                element.offset(),
                contents(self.service)?.find(|(name, _)| *name == topic),
            ) else {
                continue;
            };
            let queue = self
                .consumer
                .split_partition_queue(topic, partition)
                .ok_or_else(|| {
                    Teardown::Refused(format!("{topic}/{partition} has no queue of its own"))
                })?;
            let place = (partition, next);
            self.lanes
                .push(Lane::new(topic, content, queue, place, now));
        }
        self.lanes
            .sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        self.drain_main_queue()?;
        tracing::info!(partitions = self.lanes.len(), "intake reads");
        self.service.health.set_ready(PART);
        Ok(())
    }

    /// Gives the lanes what was fetched before their partitions had queues of their own: it comes
    /// before what those hold.
    fn drain_main_queue(&mut self) -> Result<(), Teardown> {
        let consumer = Arc::clone(&self.consumer);
        while let Some(message) = consumer.poll(Duration::ZERO) {
            let message = match message {
                Ok(message) => message.detach(),
                Err(error) => {
                    self.weigh(error)?;
                    continue;
                }
            };
            let lane = self.lanes.iter_mut().find(|lane| {
                lane.partition == message.partition() && lane.topic == message.topic()
            });
            if let Some(lane) = lane {
                lane.arrived_early(message);
            }
        }
        Ok(())
    }

    /// `partitions` with the offsets at which to go on, or begin.
    fn begin(&self, partitions: &TopicPartitionList) -> Result<TopicPartitionList, Teardown> {
        let config = &self.service.config;
        let demo = config.profile == Profile::Demo;
        let missing = self.missing_topics()?;
        let committed = if demo || partitions.count() == 0 {
            partitions.clone()
        } else {
            offsets::committed(&self.consumer, partitions, 4)?
        };
        let mut list = TopicPartitionList::new();
        for element in committed.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            // A topic may be deleted before the group has noticed.
            if missing.contains(&topic) {
                continue;
            }
            let next = match element.offset() {
                Offset::Offset(next) => {
                    let place = (partition, next);
                    let group = settings::INTAKE_GROUP;
                    offsets::available(&self.consumer, self.service, group, topic, place)?
                }
                _ if demo => 0,
                _ => {
                    // What is declared holds from the beginning, wherever the events begin.
                    let raw = config.sources.iter().any(|source| source.topic == topic);
                    let start = if raw { config.start } else { Start::Earliest };
                    offsets::first(self.client, topic, start, partition)?
                }
            };
            list.add_partition_offset(topic, partition, Offset::Offset(next))
                .map_err(Teardown::during("assigning"))?;
        }
        Ok(list)
    }

    /// Says which topics do not exist, and gives them; those that do are read meanwhile.
    pub(super) fn missing_topics(&self) -> Result<Vec<&'s str>, Teardown> {
        let metadata = self
            .consumer
            .fetch_metadata(None, offsets::TIMEOUT)
            .map_err(Teardown::during("asking which topics there are"))?;
        let there = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name);
        let missing: Vec<&str> = contents(self.service)?
            .map(|(name, _)| name)
            .filter(|name| !there(name))
            .collect();
        if missing.is_empty() {
            self.service.health.set_ready(TOPICS);
        } else {
            let obstacle = format!(
                "{} does not exist; create it, or correct `sources`",
                missing.join(", ")
            );
            tracing::warn!(obstacle, "not ready");
            self.service.health.set_unready(TOPICS, obstacle);
        }
        Ok(missing)
    }
}

/// Every topic the intake reads, and what its records are.
pub(super) fn contents(
    service: &Service,
) -> Result<impl Iterator<Item = (&str, Content<'_>)>, Teardown> {
    let topics = &service.config.topics;
    let mut contents = vec![
        (
            topics.inventory.as_str(),
            Content::Control(Control::Inventory),
        ),
        (
            topics.feedback.as_str(),
            Content::Control(Control::Feedback),
        ),
    ];
    for source in &service.config.sources {
        let reader = service.sources.reader(&source.mapping);
        let reader = reader.map_err(|error| Teardown::Refused(error.to_string()))?;
        contents.push((source.topic.as_str(), Content::Raw(reader)));
    }
    Ok(contents.into_iter())
}

/// What the intake's topics are called where the service says what it waits for.
const TOPICS: &str = "intake topics";
