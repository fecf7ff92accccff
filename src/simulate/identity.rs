//! Who works at the bank: stable names and, drawn once for each, habits.

use chrono_tz::Tz;

use super::act::{Step, step};
use super::chance::{Chance, Mood};
use super::market::{VENUES, Venue};

/// What sort of work an identity does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    /// Enters orders, inside its venue's session.
    Algo,
    /// Runs tools in rigid workflows.
    Agent,
    /// A cloud role.
    Cloud,
    /// Makes payments in business hours.
    Payment,
    /// Runs once a night.
    Batch,
    /// Calls at a nearly constant rate round the clock.
    Poller,
    /// A third party calling in.
    Integration,
}

impl Family {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Algo => "algo",
            Self::Agent => "ai_agent",
            Self::Cloud => "workload",
            Self::Payment | Self::Batch | Self::Poller => "service_account",
            Self::Integration => "integration",
        }
    }

    pub(super) fn credential_kind(self) -> &'static str {
        match self {
            Self::Algo | Self::Payment => "mtls",
            Self::Agent | Self::Integration => "oauth_token",
            Self::Cloud => "session_token",
            Self::Batch | Self::Poller => "access_key",
        }
    }
}

/// One identity and its habits.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) who: usize,
    pub(super) name: String,
    pub(super) app: String,
    /// What its credential and account ids are made from.
    pub(super) tag: u64,
    pub(super) family: Family,
    pub(super) zone: Tz,
    pub(super) ips: Vec<[u8; 4]>,
    /// Calls per hour of its active hours, or per run of a batch job.
    pub(super) rate: f64,
    /// Shape of its Weibull gaps.
    pub(super) shape: f64,
    /// Exponent of its Zipf mix of steps.
    pub(super) skew: f64,
    pub(super) steps: Vec<Step>,
    pub(super) workflows: &'static [&'static [Step]],
    /// Index into [`VENUES`].
    pub(super) venue: usize,
    pub(super) symbols: Vec<&'static str>,
    /// Local hours it works in, where it keeps hours.
    pub(super) hours: (u32, u32),
    pub(super) mood: Mood,
    /// How many expected calls its next one is away.
    pub(super) wait: f64,
    pub(super) chance: Chance,
}

/// Families by index modulo 10, so that every small bank has all of them.
const ROTA: [Family; 10] = [
    Family::Algo,
    Family::Agent,
    Family::Cloud,
    Family::Payment,
    Family::Batch,
    Family::Poller,
    Family::Integration,
    Family::Cloud,
    Family::Agent,
    Family::Algo,
];

/// Where those work who follow no venue.
pub(super) const ZONES: [Tz; 3] = [
    chrono_tz::Europe::London,
    chrono_tz::Europe::Zurich,
    chrono_tz::America::New_York,
];

impl Identity {
    /// Number `who` of the bank of `seed`: depends on nothing else.
    pub(super) fn new(seed: u64, who: usize) -> Self {
        let mut chance = Chance::new(seed, who as u64);
        let family = ROTA[who % ROTA.len()];
        // Every other pair of cloud roles is a busy one.
        let busy = family == Family::Cloud && who % 20 == 2;
        let venue = (who / 5) % VENUES.len();
        let (app, steps, workflows) = trade(family, who);
        let app = format!("{app}-{:02}", who / ROTA.len() + 1);
        let rate = match family {
            Family::Algo => chance.between(7.0, 13.0),
            Family::Agent => chance.between(1.0, 2.0),
            Family::Cloud if busy => chance.between(21.5, 25.0),
            Family::Cloud => chance.between(2.2, 4.0),
            Family::Payment => chance.between(6.0, 13.0),
            Family::Batch => chance.between(45.0, 85.0),
            Family::Poller => chance.between(21.5, 26.0),
            Family::Integration => chance.between(2.2, 4.0),
        };
        let (memory, sigma) = match family {
            Family::Poller => (0.5, 0.08),
            Family::Batch => (0.6, 0.25),
            _ if busy => (0.8, 0.2),
            _ => (chance.between(0.5, 0.85), chance.between(0.25, 0.5)),
        };
        let shape = match family {
            Family::Poller => chance.between(2.0, 4.0),
            _ => chance.between(0.6, 0.95),
        };
        let zone = if family == Family::Algo {
            VENUES[venue].zone
        } else {
            *chance.pick(&ZONES)
        };
        let start = chance.whole(7, 10) as u32;
        let hours = match family {
            Family::Batch => (3 + who as u32 / 10 % 3, chance.whole(0, 12) as u32 * 5),
            _ => (start, start + 9 + chance.whole(0, 2) as u32),
        };
        let mut symbols = VENUES[venue].symbols.to_vec();
        while symbols.len() > 5 {
            symbols.swap_remove(chance.whole(0, symbols.len()));
        }
        let net = if family == Family::Integration {
            [203, 0, 113]
        } else {
            [10, 20, who as u8]
        };
        let ips = (0..chance.whole(1, 4))
            .map(|_| [net[0], net[1], net[2], chance.whole(2, 254) as u8])
            .collect();
        Self {
            who,
            name: match family {
                Family::Cloud => format!("arn:aws:iam::210987654321:role/{app}"),
                _ => app.clone(),
            },
            app,
            tag: chance.bits() as u64,
            family,
            zone,
            ips,
            rate,
            shape,
            skew: chance.between(0.9, 1.5),
            steps: steps.to_vec(),
            workflows,
            venue,
            symbols,
            hours,
            mood: Mood::new(memory, sigma),
            wait: chance.between(0.0, 1.0),
            chance,
        }
    }

    /// Whether its source is the cloud's audit trail.
    pub(super) fn is_cloud(&self) -> bool {
        self.family == Family::Cloud
    }

    /// Calls per hour over the whole day, where it works round the clock; otherwise 0.
    pub(super) fn constant_rate(&self) -> f64 {
        match self.family {
            Family::Poller | Family::Cloud => self.rate,
            _ => 0.0,
        }
    }

    /// Whether its day follows the wall clock of its zone.
    pub(super) fn keeps_hours(&self) -> bool {
        matches!(
            self.family,
            Family::Algo | Family::Agent | Family::Payment | Family::Batch
        )
    }

    /// The venue it trades on.
    pub(super) fn market(&self) -> &'static Venue {
        &VENUES[self.venue]
    }

    /// What it is one of: its application without the number.
    pub(super) fn group(&self) -> &str {
        self.app
            .rsplit_once('-')
            .map_or(&self.app, |(group, _)| group)
    }
}

type Trade = (&'static str, &'static [Step], &'static [&'static [Step]]);

fn trade(family: Family, who: usize) -> Trade {
    let nth = who / ROTA.len() + usize::from(who % ROTA.len() > 6);
    let of = |trades: &[Trade]| trades[nth % trades.len()];
    match family {
        Family::Algo => {
            let names = [
                "algo-vwap",
                "algo-marketmaker",
                "algo-pairs",
                "algo-twap",
                "algo-momentum",
            ];
            (names[(who / 5) % names.len()], ORDERS, &[])
        }
        Family::Agent => {
            let names = ["agent-support", "agent-research", "agent-kyc", "agent-ops"];
            let role = (who / 5) % names.len();
            (names[role], &[], [SUPPORT, RESEARCH, KYC, OPS][role])
        }
        Family::Cloud => of(&[
            ("ledger-exporter", LEDGER, &[]),
            ("risk-engine", RISK, &[]),
            ("statement-builder", STATEMENTS, &[]),
        ]),
        Family::Payment => of(&[
            ("svc-payments-sepa", PAYMENTS, &[]),
            ("svc-payments-swift", PAYMENTS, &[]),
            ("svc-payroll", PAYMENTS, &[]),
        ]),
        Family::Batch => of(&[
            ("batch-eod-settlement", NIGHT, &[]),
            ("batch-reconciliation", NIGHT, &[]),
            ("batch-regulatory-report", NIGHT, &[]),
        ]),
        Family::Poller => of(&[
            ("svc-price-poller", POLLS, &[]),
            ("svc-position-sync", POLLS, &[]),
            ("svc-limit-monitor", POLLS, &[]),
        ]),
        Family::Integration => of(&[
            ("vendor-crm-sync", VENDOR, &[]),
            ("vendor-kyc-screening", VENDOR, &[]),
            ("vendor-tax-reporting", VENDOR, &[]),
        ]),
    }
}

const ORDERS: &[Step] = &[
    step("order.create", "order", "orders", "order_gateway"),
    step("order.amend", "order", "orders", "order_gateway"),
    step("order.cancel", "order", "orders", "order_gateway"),
];
const PAYMENTS: &[Step] = &[
    step("payment.create", "payment", "payments", "payment_rail"),
    step("payment.status", "read", "payments", "payment_rail"),
    step("account.read", "read", "accounts", "internal_api"),
];
const NIGHT: &[Step] = &[
    step("job.start", "other", "jobs", "internal_api"),
    step("db.query", "read", "trades", "settlement"),
    step("file.read", "read", "positions", "settlement"),
    step("file.write", "write", "reports", "settlement"),
    step("job.end", "other", "jobs", "internal_api"),
];
const POLLS: &[Step] = &[
    step("price.read", "read", "prices", "market_data"),
    step("position.read", "read", "positions", "settlement"),
    step("config.read", "read", "config", "internal_api"),
    step("health.read", "read", "health", "internal_api"),
];
const VENDOR: &[Step] = &[
    step("customer.read", "read", "customers", "customer_pii"),
    step("customer.search", "read", "customers", "customer_pii"),
    step("case.update", "write", "cases", "internal_api"),
    step("webhook.ack", "other", "webhooks", "internal_api"),
    step("token.refresh", "auth", "tokens", "internal_api"),
];
const LEDGER: &[Step] = &[
    step("s3:GetObject", "read", "bank-ledger-prod", "settlement"),
    step("s3:PutObject", "write", "bank-exports-prod", "settlement"),
    step("kms:Decrypt", "read", "7f0b6a52-ledger", "secrets"),
    step("dynamodb:GetItem", "read", "ledger-cursor", "internal_api"),
    step(
        "sqs:SendMessage",
        "write",
        "ledger-exported",
        "internal_api",
    ),
];
const RISK: &[Step] = &[
    step("dynamodb:Query", "read", "positions", "settlement"),
    step(
        "s3:GetObject",
        "read",
        "bank-marketdata-prod",
        "market_data",
    ),
    step(
        "sqs:ReceiveMessage",
        "read",
        "risk-requests",
        "internal_api",
    ),
    step(
        "sqs:DeleteMessage",
        "write",
        "risk-requests",
        "internal_api",
    ),
    step("dynamodb:PutItem", "write", "risk-results", "internal_api"),
    step("kms:GenerateDataKey", "write", "1c9e44d0-risk", "secrets"),
];
const STATEMENTS: &[Step] = &[
    step(
        "s3:PutObject",
        "write",
        "bank-statements-prod",
        "customer_pii",
    ),
    step("dynamodb:GetItem", "read", "customers", "customer_pii"),
    step("kms:Decrypt", "read", "b27d90aa-statements", "secrets"),
    step(
        "secretsmanager:GetSecretValue",
        "read",
        "prod/statements/smtp",
        "secrets",
    ),
];

const SEARCH: Step = step("tool:search_ticket", "tool", "tickets", "internal_api");
const CUSTOMER: Step = step("tool:read_customer", "tool", "customers", "customer_pii");
const ARTICLE: Step = step("tool:read_article", "tool", "articles", "internal_api");
const DRAFT: Step = step("tool:draft_reply", "tool", "drafts", "internal_api");
const REPLY: Step = step("tool:send_reply", "tool", "tickets", "internal_api");
const CLOSE: Step = step("tool:close_ticket", "tool", "tickets", "internal_api");
const WEB: Step = step("tool:fetch_web", "tool", "web", "external");
const MARKET: Step = step("tool:read_market_data", "tool", "prices", "market_data");
const SUMMARY: Step = step("tool:summarise", "tool", "notes", "internal_api");
const NOTE: Step = step("tool:store_note", "tool", "notes", "internal_api");
const CASE: Step = step("tool:read_case", "tool", "cases", "internal_api");
const DOCUMENT: Step = step("tool:read_document", "tool", "documents", "customer_pii");
const SCREEN: Step = step("tool:screen_sanctions", "tool", "lists", "internal_api");
const DECIDE: Step = step("tool:write_decision", "tool", "cases", "internal_api");
const ALERT: Step = step("tool:read_alert", "tool", "alerts", "internal_api");
const RUNBOOK: Step = step("tool:read_runbook", "tool", "runbooks", "internal_api");
const METRICS: Step = step("tool:query_metrics", "tool", "metrics", "internal_api");
const UPDATE: Step = step("tool:post_update", "tool", "incidents", "internal_api");

const SUPPORT: &[&[Step]] = &[
    &[SEARCH, CUSTOMER, DRAFT, REPLY],
    &[SEARCH, ARTICLE, DRAFT, REPLY],
    &[SEARCH, CUSTOMER, ARTICLE, DRAFT, REPLY, CLOSE],
    &[SEARCH, ARTICLE, CLOSE],
];
const RESEARCH: &[&[Step]] = &[
    &[WEB, SUMMARY, NOTE],
    &[MARKET, SUMMARY, NOTE],
    &[WEB, WEB, SUMMARY, NOTE],
    &[WEB, MARKET, SUMMARY, NOTE],
];
const KYC: &[&[Step]] = &[
    &[CASE, CUSTOMER, SCREEN, DECIDE],
    &[CASE, DOCUMENT, SCREEN, DECIDE],
    &[CASE, CUSTOMER, DOCUMENT, SCREEN, DECIDE],
];
const OPS: &[&[Step]] = &[
    &[ALERT, RUNBOOK, METRICS, UPDATE],
    &[ALERT, METRICS, UPDATE],
    &[ALERT, METRICS, METRICS, RUNBOOK, UPDATE],
];
