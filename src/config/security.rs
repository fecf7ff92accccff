//! How connections to Kafka are protected. A secret is only ever a reference: to a file, or to a
//! variable of the environment.

use std::io::Read as _;
use std::path::PathBuf;

use serde::Deserialize;

use crate::failure::Failure;

/// How connections to Kafka are protected, and who we are.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Whether traffic is encrypted, and whether we log in.
    pub protocol: Protocol,
    /// How we log in, with one of the `sasl` protocols.
    pub mechanism: Option<Mechanism>,
    /// The name we log in with.
    pub username: Option<String>,
    /// The password that goes with it.
    pub sasl_password: Option<Secret>,
    /// Certificates of the authorities we trust, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, in PEM.
    pub certificate_file: Option<PathBuf>,
    /// Its key, in PEM.
    pub key_file: Option<PathBuf>,
    /// What opens the key.
    pub ssl_key_password: Option<Secret>,
}

/// Whether traffic is encrypted, and whether we log in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither.
    #[default]
    Plaintext,
    /// Encrypted.
    Ssl,
    /// We log in, in the clear.
    SaslPlaintext,
    /// Encrypted, and we log in.
    SaslSsl,
}

impl Protocol {
    /// Its name in librdkafka's `security.protocol`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether we log in.
    #[must_use]
    pub const fn logs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How we log in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub enum Mechanism {
    /// The password itself.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password, by SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of the password, by SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// Its name in librdkafka's `sasl.mechanism`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Where a secret is kept. It is read when it is needed, and never kept or shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    /// In a file, whose trailing line break does not count.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
}

/// Bytes of a secret's file at most.
const LONGEST: u64 = 1 << 16;

impl Secret {
    /// The secret itself.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or the variable is not set.
    pub fn reveal(&self) -> Result<String, Failure> {
        match self {
            Self::File(file) => std::fs::File::open(file)
                .and_then(|file| std::io::read_to_string(file.take(LONGEST + 1)))
                .and_then(|text| match text.len() as u64 > LONGEST {
                    true => Err(std::io::Error::other("it is larger than 64 KiB")),
                    false => Ok(text),
                })
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| {
                    let file = file.display();
                    Failure::Environment(format!("cannot read the secret in {file}: {error}"))
                }),
            Self::Env(name) => std::env::var(name).map_err(|_| {
                Failure::Environment(format!(
                    "the environment variable {name} holds no secret; set it, or name another \
                     under kafka.security"
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_loses_its_line_break_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        assert_eq!(Secret::File(file).reveal().unwrap(), "hunter2");
        let missing = Secret::File(folder.path().join("none"))
            .reveal()
            .unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
        let endless = Secret::File("/dev/zero".into()).reveal().unwrap_err();
        assert!(endless.to_string().contains("64 KiB"), "{endless}");
        let unset = Secret::Env("NHIWATCH_TEST_UNSET".into())
            .reveal()
            .unwrap_err();
        assert!(unset.to_string().contains("NHIWATCH_TEST_UNSET"), "{unset}");
    }
}
