//! The name of an identity, as it is kept.

use std::ops::Deref;

use arrayvec::ArrayString;

/// A name of which most lie beside what else is known of the identity, so that whoever looks it up waits
/// for memory only once.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    /// It is short.
    Near(ArrayString<52>),
    /// It is not.
    Far(Box<str>),
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        ArrayString::from(name).map_or_else(|_| Self::Far(name.into()), Self::Near)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Near(name) => name,
            Self::Far(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_names_are_themselves() {
        for name in ["", "svc-ä", &"arn:aws:iam::111122223333:role/".repeat(9)] {
            assert_eq!(&*Name::from(name), name);
        }
    }
}
