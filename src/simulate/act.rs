//! One simulated action, and how it is written.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};

use super::identity::Identity;
use super::{Form, Line};

/// What can be done: an action and what it does it to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) action: &'static str,
    pub(super) class: &'static str,
    /// What resources of it are called, before their number.
    pub(super) target: &'static str,
    pub resource_class: &'static str,
}

/// Shorthand for a [`Step`] in a table.
pub(super) const fn step(
    action: &'static str,
    class: &'static str,
    target: &'static str,
    resource_class: &'static str,
) -> Step {
    Step {
        action,
        class,
        target,
        resource_class,
    }
}

/// One action at one time.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub(super) ts: i64,
    pub(super) who: usize,
    pub(super) uid: u128,
    pub(super) step: Step,
    /// Which of the step's resources.
    pub(super) number: usize,
    pub(super) ip: [u8; 4],
    pub(super) outcome: &'static str,
    pub(super) session: Option<u64>,
    /// Which of its identity's keys signed; the first is 0.
    pub(super) key: u64,
    /// The approved change it belongs to.
    pub(super) approval: Option<u32>,
    pub(super) facts: Facts,
}

/// What only some actions carry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Facts {
    None,
    Bytes(u64),
    Order {
        venue: &'static str,
        symbol: &'static str,
        side: &'static str,
        quantity: u32,
        amount: f64,
        currency: &'static str,
    },
    Payment {
        amount: f64,
        currency: &'static str,
    },
}

const ACCOUNT: &str = "210987654321";
const REGION: &str = "eu-west-1";

impl Act {
    /// The act as a record of its source, or of the published event schema if `native`.
    pub(super) fn line(&self, identity: &Identity, native: bool) -> Line {
        let form = if identity.is_cloud() && !native {
            Form::CloudTrail
        } else {
            Form::Native
        };
        let json = match form {
            Form::CloudTrail => self.cloudtrail(identity),
            Form::Native => self.native(identity),
        };
        Line {
            ts_micros: self.ts,
            identity: identity.name.clone(),
            form,
            json,
        }
    }

    fn native(&self, identity: &Identity) -> String {
        let mut out = String::with_capacity(480);
        let mut field = |name: &str, value: &str| {
            let comma = if out.is_empty() { '{' } else { ',' };
            // Every value is made here of characters that JSON need not escape.
            let _ = write!(out, "{comma}\"{name}\":\"{value}\"");
        };
        let [a, b, c, d] = self.ip;
        field("ts", &self.time(SecondsFormat::Micros));
        field("uid", &self.uuid());
        field("identity", &identity.name);
        field("kind", identity.family.kind());
        field("credential", &self.credential(identity));
        field("credential_kind", identity.family.credential_kind());
        field("action", self.step.action);
        field("class", self.step.class);
        field("resource", &self.resource(identity));
        field("resource_class", self.step.resource_class);
        field("ip", &format!("{a}.{b}.{c}.{d}"));
        field("outcome", self.outcome);
        if let Some(code) = self.code(identity) {
            field("code", code);
        }
        if let Some(session) = self.session {
            field("session", &session_name(identity, session));
        }
        field("env", "prod");
        field("app", &identity.app);
        if let Some(change) = self.approval {
            field("approval_id", &format!("CHG-{change}"));
        }
        match self.facts {
            Facts::None => {}
            Facts::Bytes(bytes) => {
                let _ = write!(out, ",\"bytes\":{bytes}");
            }
            Facts::Order {
                venue,
                symbol,
                side,
                quantity,
                amount,
                currency,
            } => {
                let _ = write!(
                    out,
                    ",\"venue\":\"{venue}\",\"symbol\":\"{symbol}\",\"side\":\"{side}\",\
                     \"quantity\":{quantity},\"amount\":{amount:.2},\"currency\":\"{currency}\""
                );
            }
            Facts::Payment { amount, currency } => {
                let _ = write!(out, ",\"amount\":{amount:.2},\"currency\":\"{currency}\"");
            }
        }
        out.push('}');
        out
    }

    fn cloudtrail(&self, identity: &Identity) -> String {
        let (service, name) = self
            .step
            .action
            .split_once(':')
            .unwrap_or(("sts", self.step.action));
        let (role, arn, tag) = (&identity.app, &identity.name, identity.tag);
        let session = session_name(identity, self.session.unwrap_or(identity.tag));
        let key = self.credential(identity);
        let time = self.time(SecondsFormat::Secs);
        let [a, b, c, d] = self.ip;
        let error = self.code(identity).map_or_else(String::new, |code| {
            format!("\"errorCode\":\"{code}\",\"errorMessage\":\"{code} on {name}\",")
        });
        let bytes = match self.facts {
            Facts::Bytes(bytes) if service == "s3" => format!(
                "\"additionalEventData\":{{\"SignatureVersion\":\"SigV4\",\"CipherSuite\":\
                 \"TLS_AES_128_GCM_SHA256\",\"bytesTransferredIn\":0,\"bytesTransferredOut\":{bytes}}},"
            ),
            _ => String::new(),
        };
        let account = if self.step.resource_class == "external" {
            "666655554444"
        } else {
            ACCOUNT
        };
        format!(
            "{{\"eventVersion\":\"1.11\",\"userIdentity\":{{\"type\":\"AssumedRole\",\
             \"principalId\":\"AROA{tag:016X}:{session}\",\
             \"arn\":\"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}\",\
             \"accountId\":\"{ACCOUNT}\",\"accessKeyId\":\"{key}\",\"sessionContext\":{{\
             \"sessionIssuer\":{{\"type\":\"Role\",\"principalId\":\"AROA{tag:016X}\",\
             \"arn\":\"{arn}\",\"accountId\":\"{ACCOUNT}\",\"userName\":\"{role}\"}},\
             \"attributes\":{{\"creationDate\":\"{day}T00:00:00Z\",\"mfaAuthenticated\":\"false\"}}}}}},\
             \"eventTime\":\"{time}\",\"eventSource\":\"{service}.amazonaws.com\",\
             \"eventName\":\"{name}\",\"awsRegion\":\"{REGION}\",\
             \"sourceIPAddress\":\"{a}.{b}.{c}.{d}\",\
             \"userAgent\":\"aws-sdk-java/2.29.23 Linux/6.1 OpenJDK_64-Bit_Server_VM/21\",{error}\
             \"requestParameters\":{parameters},\"responseElements\":null,{bytes}\
             \"requestID\":\"{request:016X}\",\"eventID\":\"{id}\",\"readOnly\":{read},\
             \"resources\":[{{\"ARN\":\"{resource}\",\"accountId\":\"{account}\",\"type\":\"{kind}\"}}],\
             \"eventType\":\"AwsApiCall\",\"managementEvent\":{management},\
             \"recipientAccountId\":\"{ACCOUNT}\",\"eventCategory\":\"{category}\"}}",
            day = &time[..10],
            parameters = self.parameters(service),
            request = (self.uid >> 64) as u64 ^ 0x5bd1_e995_9e37_79b9,
            id = self.uuid(),
            read = self.step.class == "read",
            resource = self.resource(identity),
            kind = resource_type(service),
            management = !matches!(service, "s3" | "dynamodb" | "sqs"),
            category = if matches!(service, "s3" | "dynamodb" | "sqs") {
                "Data"
            } else {
                "Management"
            },
        )
    }

    fn parameters(&self, service: &str) -> String {
        let (target, number) = (self.step.target, self.number);
        match service {
            "s3" => format!("{{\"bucketName\":\"{target}\",\"key\":\"part/{number:05}\"}}"),
            "dynamodb" => format!("{{\"tableName\":\"{target}\"}}"),
            "sqs" => format!(
                "{{\"queueUrl\":\"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{target}\"}}"
            ),
            "secretsmanager" => format!("{{\"secretId\":\"{target}\"}}"),
            "iam" => format!("{{\"roleName\":\"{target}\"}}"),
            _ => format!("{{\"keyId\":\"{target}\"}}"),
        }
    }

    fn resource(&self, identity: &Identity) -> String {
        let (target, number) = (self.step.target, self.number);
        if !identity.is_cloud() {
            return format!("{target}/{number}");
        }
        match self
            .step
            .action
            .split_once(':')
            .map_or("", |(service, _)| service)
        {
            "s3" => format!("arn:aws:s3:::{target}/part/{number:05}"),
            "dynamodb" => format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{target}"),
            "sqs" => format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{target}"),
            "iam" => format!("arn:aws:iam::{ACCOUNT}:role/{target}"),
            "secretsmanager" => {
                format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{target}")
            }
            _ => format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{target}"),
        }
    }

    /// A cloud role gets a new temporary key every day, others keep theirs.
    fn credential(&self, identity: &Identity) -> String {
        if identity.is_cloud() {
            let day = self.ts.div_euclid(86_400_000_000) as u64;
            format!(
                "ASIA{:016X}",
                (identity.tag ^ self.key ^ day).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        } else {
            format!("key-{:010x}", (identity.tag ^ self.key) & 0xff_ffff_ffff)
        }
    }

    fn code(&self, identity: &Identity) -> Option<&'static str> {
        match (self.outcome, identity.is_cloud()) {
            ("fail", true) => Some("ThrottlingException"),
            ("fail", false) => Some("503"),
            ("denied", true) => Some("AccessDenied"),
            ("denied", false) => Some("403"),
            _ => None,
        }
    }

    fn time(&self, precision: SecondsFormat) -> String {
        DateTime::from_timestamp_micros(self.ts)
            .unwrap_or_default()
            .to_rfc3339_opts(precision, true)
    }

    fn uuid(&self) -> String {
        let bits = self.uid;
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            (bits >> 96) as u32,
            (bits >> 80) as u16,
            (bits >> 68) as u16 & 0xfff,
            (bits >> 48) as u16 & 0x3fff | 0x8000,
            bits as u64 & 0xffff_ffff_ffff,
        )
    }
}

fn session_name(identity: &Identity, session: u64) -> String {
    if identity.is_cloud() {
        format!("i-0{:016x}", session)
    } else {
        format!("s-{session:016x}")
    }
}

fn resource_type(service: &str) -> &'static str {
    match service {
        "s3" => "AWS::S3::Object",
        "dynamodb" => "AWS::DynamoDB::Table",
        "sqs" => "AWS::SQS::Queue",
        "secretsmanager" => "AWS::SecretsManager::Secret",
        "iam" => "AWS::IAM::Role",
        _ => "AWS::KMS::Key",
    }
}
