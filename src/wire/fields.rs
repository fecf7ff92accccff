//! The fields of the event schema, by name.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// Declares the fields whose values are strings, and gives each an index.
macro_rules! texts {
    ($($variant:ident = $word:literal,)+) => {
        /// A field whose value is a string.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Text { $($variant,)+ }

        impl Text {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        /// A field of the event schema.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Field {
            Text(Text),
            Ts,
            OnBehalfOf,
            Asn,
            Quantity,
            Amount,
            Bytes,
            Count,
            Unknown,
        }

        impl Field {
            fn from_name(name: &str) -> Self {
                match name {
                    $($word => Self::Text(Text::$variant),)+
                    "ts" => Self::Ts,
                    "on_behalf_of" => Self::OnBehalfOf,
                    "asn" => Self::Asn,
                    "quantity" => Self::Quantity,
                    "amount" => Self::Amount,
                    "bytes" => Self::Bytes,
                    "count" => Self::Count,
                    _ => Self::Unknown,
                }
            }
        }
    };
}

texts! {
    Uid = "uid",
    Identity = "identity",
    Kind = "kind",
    Credential = "credential",
    CredentialKind = "credential_kind",
    Action = "action",
    Class = "class",
    Resource = "resource",
    ResourceType = "resource_type",
    ResourceClass = "resource_class",
    Ip = "ip",
    Country = "country",
    UserAgent = "user_agent",
    Outcome = "outcome",
    Code = "code",
    Session = "session",
    Trace = "trace",
    Venue = "venue",
    Symbol = "symbol",
    Side = "side",
    Currency = "currency",
    Env = "env",
    App = "app",
    AppVersion = "app_version",
    Tenant = "tenant",
    ApprovalId = "approval_id",
}

impl Field {
    /// The fields that are no strings.
    pub(super) const OTHERS: [Self; 7] = [
        Self::Ts,
        Self::OnBehalfOf,
        Self::Asn,
        Self::Quantity,
        Self::Amount,
        Self::Bytes,
        Self::Count,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text(text) => text.name(),
            Self::Ts => "ts",
            Self::OnBehalfOf => "on_behalf_of",
            Self::Asn => "asn",
            Self::Quantity => "quantity",
            Self::Amount => "amount",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Unknown => "an unknown field",
        }
    }

    /// Its bit in a set of fields seen.
    pub(super) const fn bit(self) -> u64 {
        match self {
            Self::Text(text) => 1 << text as u64,
            Self::Ts => 1 << 40,
            Self::OnBehalfOf => 1 << 41,
            Self::Asn => 1 << 42,
            Self::Quantity => 1 << 43,
            Self::Amount => 1 << 44,
            Self::Bytes => 1 << 45,
            Self::Count => 1 << 46,
            Self::Unknown => 0,
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Field, E> {
                Ok(Field::from_name(name))
            }
        }
        from.deserialize_identifier(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_own_name_and_bit() {
        let fields = Text::ALL
            .iter()
            .map(|&text| Field::Text(text))
            .chain(Field::OTHERS);
        let mut seen = 0;
        for field in fields {
            assert_eq!(Field::from_name(field.name()), field);
            assert_eq!(seen & field.bit(), 0, "{}", field.name());
            seen |= field.bit();
        }
    }
}
