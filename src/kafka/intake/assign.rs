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
use crate::shard::{ACCEPT, Teardown};
use crate::wire::control::Control;

/// Where to read.
struct Beginning {
    /// Partitions with the next offset of each.
    list: TopicPartitionList,
    /// Whether one of them had no committed offset that it goes on at.
    new: bool,
    /// Topic, partition and number of records that are given up, as was accepted.
    given_up: Vec<(String, i32, i64)>,
}

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
        let missing = self.missing_topics()?;
        let Beginning {
            list,
            new,
            given_up,
        } = self.begin(partitions, &missing)?;
        // Before any event goes, every name must be known.
        self.aliases = self.service.inventory.aliases().clone();
        self.declared = Declared::open(self.client, self.service, &mut self.aliases)?;
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
        if new {
            // Before anything is written each has an offset: else one that begins at its end and stays quiet would begin there
            // again after a restart, and what was written, or given up, without any would look as if offsets were lost.
            self.transaction.begin()?;
            self.commit()?;
        }
        for (topic, partition, lost) in given_up {
            self.service.loss.settle(&topic, partition);
            self.service.metrics.lost(lost);
        }
        // Who reads nothing leaves it to those who do.
        if self.announces && !self.lanes.is_empty() {
            self.announce()?;
        }
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

    /// Where to go on with `partitions` of topics that are not `missing`, or begin.
    fn begin(
        &self,
        partitions: &TopicPartitionList,
        missing: &[&str],
    ) -> Result<Beginning, Teardown> {
        let config = &self.service.config;
        let demo = config.profile == Profile::Demo;
        let committed = if demo || partitions.count() == 0 {
            partitions.clone()
        } else {
            offsets::committed(&self.consumer, partitions, 4)?
        };
        // A topic may be deleted before the group has noticed.
        let there = |topic: &str| !missing.contains(&topic);
        let elements = committed.elements().into_iter();
        let elements: Vec<_> = elements.filter(|element| there(element.topic())).collect();
        let is_new = |offset| !demo && !matches!(offset, Offset::Offset(_));
        let new = elements.iter().any(|element| is_new(element.offset()));
        let written = new && self.has_written()?;
        // Whether all that the group knew is gone.
        let forgotten = written && !self.has_past()?;
        let (mut list, mut given_up) = (TopicPartitionList::new(), Vec::new());
        for element in elements {
            let (topic, partition) = (element.topic(), element.partition());
            // What is declared holds from the beginning, wherever the events begin.
            let raw = config.sources.iter().any(|source| source.topic == topic);
            let accepted = self.service.loss.accepted(topic, partition);
            let next = match element.offset() {
                Offset::Offset(next) => {
                    let accepted = accepted.map(|start| if raw { start } else { Start::Earliest });
                    let (group, place) = (settings::INTAKE_GROUP, (partition, next));
                    let on = offsets::available(&self.consumer, accepted, group, topic, place)?;
                    if on != next {
                        // Of what was cut off or made anew nobody knows what it held.
                        given_up.push((topic.to_owned(), partition, (on - next).max(0)));
                    }
                    on
                }
                _ if demo => 0,
                _ => {
                    let start = match accepted.filter(|_| written) {
                        _ if !raw => Start::Earliest,
                        Some(start) => {
                            tracing::warn!(topic, partition, ?start, "goes on without an offset");
                            given_up.push((topic.to_owned(), partition, 0));
                            start
                        }
                        None if forgotten => return Err(self.forgotten(topic)),
                        None => config.start,
                    };
                    offsets::first(self.client, topic, start, partition)?
                }
            };
            list.add_partition_offset(topic, partition, Offset::Offset(next))
                .map_err(Teardown::during("assigning"))?;
        }
        Ok(Beginning {
            list,
            new: new || !given_up.is_empty(),
            given_up,
        })
    }

    /// Whether the group has committed an offset of any topic that the intake reads.
    fn has_past(&self) -> Result<bool, Teardown> {
        let mut all = TopicPartitionList::new();
        for (topic, partitions) in self.topics()? {
            all.add_partition_range(&topic, 0, partitions - 1);
        }
        let committed = offsets::committed(&self.consumer, &all, 4)?;
        let elements = committed.elements();
        let mut offsets = elements.iter().map(|element| element.offset());
        Ok(offsets.any(|offset| matches!(offset, Offset::Offset(_))))
    }

    /// Whether anything was ever written to the event log.
    fn has_written(&self) -> Result<bool, Teardown> {
        let events = &self.service.config.topics.events;
        for partition in 0..self.partitions {
            let (_, end) = self
                .consumer
                .fetch_watermarks(events, partition, offsets::TIMEOUT)
                .map_err(Teardown::during("asking where the event log ends"))?;
            if end > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Why it does not begin with `topic`, of which is not known any more what was passed on.
    fn forgotten(&self, topic: &str) -> Teardown {
        let (group, events) = (settings::INTAKE_GROUP, &self.service.config.topics.events);
        Teardown::Refused(format!(
            "group {group} has no committed offset, but {events} holds records: the offsets have expired or were deleted, \
             or others write there too. Which records of {topic} were passed on is not known. To pass on all that it still \
             holds, or only what comes from now on, {ACCEPT}"
        ))
    }

    /// Every topic that the intake reads and that is there, with its number of partitions.
    fn topics(&self) -> Result<Vec<(String, i32)>, Teardown> {
        let metadata = self
            .consumer
            .fetch_metadata(None, offsets::TIMEOUT)
            .map_err(Teardown::during("asking which topics there are"))?;
        let reads: Vec<&str> = contents(self.service)?.map(|(name, _)| name).collect();
        let topics = metadata.topics().iter();
        let topics = topics.filter(|topic| reads.contains(&topic.name()));
        let count = |partitions: usize| i32::try_from(partitions).unwrap_or(i32::MAX);
        Ok(topics
            .map(|topic| (topic.name().to_owned(), count(topic.partitions().len())))
            .collect())
    }

    /// Says which topics do not exist, and gives them; those that do are read meanwhile.
    pub(super) fn missing_topics(&self) -> Result<Vec<&'s str>, Teardown> {
        let there = self.topics()?;
        let is_there = |name: &str| there.iter().any(|(there, _)| there == name);
        let missing: Vec<&str> = contents(self.service)?
            .map(|(name, _)| name)
            .filter(|name| !is_there(name))
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
