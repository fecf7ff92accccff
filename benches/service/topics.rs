//! Topics of one measure's own, filled before it begins.

use anyhow::Result;
use chrono::Utc;
use nhiwatch::config::Config;
use nhiwatch::kafka::settings;
use nhiwatch::kafka::topics::{self, Wanted};
use nhiwatch::service::Service;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use super::Bench;
use super::measure::{Work, fill};

/// A service, and the topics that it works on.
pub(crate) struct Topics<'b> {
    bench: &'b Bench,
    work: Work,
    pub(crate) name: String,
    pub(crate) service: Service,
    pub(crate) client: ClientConfig,
}

impl Bench {
    /// Makes a service's topics, and writes `records` to the one that it reads.
    pub(crate) fn topics(
        &self,
        records: &[(String, String)],
        work: Work,
        settings: &str,
    ) -> Result<Topics<'_>> {
        let name = format!("{}-{}", self.name, Utc::now().timestamp_millis());
        let service = self.service(&name, work, settings)?;
        let client = settings::client(&service.config.kafka)?;
        let topics = Topics {
            bench: self,
            work,
            name,
            service,
            client,
        };
        let (config, wanted) = (&topics.service.config, topics.wanted());
        self.runtime.block_on(async {
            let found = topics::found(&topics.client, &wanted, &config.kafka.brokers).await?;
            topics::create(&topics.client, config, &wanted, &found).await
        })?;
        fill(&topics.client, topics.input(), records)?;
        Ok(topics)
    }
}

impl Topics<'_> {
    /// The topic that is read.
    pub(crate) fn input(&self) -> &str {
        raw(&self.service.config, self.work).unwrap_or(&self.service.config.topics.events)
    }

    /// All that must be there.
    fn wanted(&self) -> Vec<Wanted<'_>> {
        let config = &self.service.config;
        let mut wanted = topics::wanted(config);
        wanted.extend(raw(config, self.work).map(|name| Wanted {
            name,
            partitions: 1,
            compacted: false,
        }));
        wanted
    }

    /// Deletes them again.
    pub(crate) fn delete(&self) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client.create()?;
        let names: Vec<&str> = self.wanted().iter().map(|topic| topic.name).collect();
        let deleted = admin.delete_topics(&names, &AdminOptions::new());
        self.bench.runtime.block_on(deleted)?;
        Ok(())
    }
}

fn raw(config: &Config, work: Work) -> Option<&str> {
    let raw = config.sources.first().filter(|_| work == Work::Intake);
    raw.map(|source| source.topic.as_str())
}
