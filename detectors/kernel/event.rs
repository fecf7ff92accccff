//! What one identity did, once. Only valid values exist here: the edge has refused all others.

use std::borrow::Cow;

use super::flow::Sink;
use super::time::Timestamp;

/// One action of one identity, borrowed from the record it was read from.
///
/// The field meanings are those of the published event schema.
#[derive(Clone, Debug, Default)]
pub struct Event<'a> {
    /// When it happened, as the source says.
    pub ts: Timestamp,
    /// When the record reached the log; a file has no such time.
    pub received: Option<Timestamp>,
    /// The source's own id of this event; duplicates are recognised by it.
    pub uid: Option<&'a str>,
    /// Stable id of the actor, never a session name.
    pub identity: &'a str,
    /// What sort of actor it is.
    pub kind: Kind,
    /// On whose behalf it acted, root first.
    pub on_behalf_of: &'a [Cow<'a, str>],
    /// Id of the credential, never the secret.
    pub credential: Option<&'a str>,
    /// What sort of credential it is.
    pub credential_kind: Option<&'a str>,
    /// The API operation or tool, such as `s3:GetObject` or `order.create`.
    pub action: &'a str,
    /// What sort of action it is.
    pub class: Class,
    /// What it acted upon.
    pub resource: Option<&'a str>,
    /// Type of the resource.
    pub resource_type: Option<&'a str>,
    /// Class of the resource, such as `payment_rail` or `customer_pii`.
    pub resource_class: Option<&'a str>,
    /// Address it came from.
    pub ip: Option<&'a str>,
    /// Autonomous system number it came from.
    pub asn: Option<u32>,
    /// Country it came from.
    pub country: Option<&'a str>,
    /// User agent it sent.
    pub user_agent: Option<&'a str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The source's own result code.
    pub code: Option<&'a str>,
    /// Session that groups a chain of actions.
    pub session: Option<&'a str>,
    /// Trace that groups a chain of actions.
    pub trace: Option<&'a str>,
    /// Market identifier code (ISO 10383) of the venue of an order.
    pub venue: Option<&'a str>,
    /// Instrument of an order.
    pub symbol: Option<&'a str>,
    /// Side of an order.
    pub side: Option<&'a str>,
    /// Quantity of an order.
    pub quantity: Option<f64>,
    /// Amount of a payment or notional of an order, in `currency`.
    pub amount: Option<f64>,
    /// Currency of `amount`.
    pub currency: Option<&'a str>,
    /// Bytes moved.
    pub bytes: Option<f64>,
    /// How many events this record stands for; at least 1.
    pub count: Count,
    /// Environment, such as `prod`.
    pub env: Option<&'a str>,
    /// Application.
    pub app: Option<&'a str>,
    /// Version of the application.
    pub app_version: Option<&'a str>,
    /// Tenant.
    pub tenant: Option<&'a str>,
    /// Approval that covers the action.
    pub approval_id: Option<&'a str>,
}

impl Event<'_> {
    /// Whether the action moves orders, money or rights, or sends something out of the house.
    #[must_use]
    pub fn is_sink(&self) -> bool {
        Sink::of(self).is_some()
    }
}

/// How many events a pre-aggregated record stands for; never 0, at most a thousand million.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Count(u32);

impl Count {
    /// The largest count one record may stand for.
    pub const MAX: u32 = 1_000_000_000;

    /// `n` as a count, or nothing where `n` is 0 or above [`Count::MAX`].
    #[must_use]
    pub fn new(n: u64) -> Option<Self> {
        u32::try_from(n)
            .ok()
            .filter(|n| (1..=Self::MAX).contains(n))
            .map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Count {
    fn default() -> Self {
        Self(1)
    }
}

/// Declares an enum whose variants have one wire word each.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used for it in events, config and alerts.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The variant that `word` stands for, if any.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.word()) }
        }
    };
}
pub(crate) use words;

words! {
    /// What sort of actor an identity is.
    #[derive(Default)]
    Kind {
        /// A service account.
        ServiceAccount = "service_account",
        /// A workload with a platform identity.
        Workload = "workload",
        /// A bare API key.
        ApiKey = "api_key",
        /// An OAuth client.
        OauthClient = "oauth_client",
        /// A certificate.
        Certificate = "certificate",
        /// A bot.
        Bot = "bot",
        /// A third-party integration.
        Integration = "integration",
        /// A trading algorithm.
        Algo = "algo",
        /// An AI agent.
        AiAgent = "ai_agent",
        /// A person.
        Human = "human",
        /// Not said by the source; never guessed.
        #[default]
        Unknown = "unknown",
    }
}

words! {
    /// What sort of action it was.
    #[derive(Default)]
    Class {
        /// Reads data.
        Read = "read",
        /// Changes data.
        Write = "write",
        /// Changes who may do what, or how things run.
        Admin = "admin",
        /// Proves an identity.
        Auth = "auth",
        /// Calls an agent's tool.
        Tool = "tool",
        /// Enters, changes or cancels an order.
        Order = "order",
        /// Moves money.
        Payment = "payment",
        /// None of these, or not said.
        #[default]
        Other = "other",
    }
}

words! {
    /// How an action ended.
    #[derive(Default)]
    Outcome {
        /// It did what was asked.
        Ok = "ok",
        /// It went wrong.
        Fail = "fail",
        /// It was refused.
        Denied = "denied",
        /// Not said.
        #[default]
        Unknown = "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_its_variant() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
        }
        for &class in Class::ALL {
            assert_eq!(Class::from_word(class.word()), Some(class));
        }
        assert_eq!(Outcome::from_word("maybe"), None);
    }

    #[test]
    fn a_count_is_never_zero() {
        assert_eq!(Count::new(0), None);
        assert_eq!(Count::new(7).map(Count::get), Some(7));
        assert_eq!(Count::new(u64::MAX), None);
    }
}
