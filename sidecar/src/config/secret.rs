//! A value that must not be printed.

use std::fmt;

use serde::Deserialize;
use subtle::ConstantTimeEq as _;

/// A secret string: never shown, and compared in constant time.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `candidate` is the secret. Takes a time that depends on the lengths only.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself_and_matches_only_itself() {
        let secret = Secret::new("open sesame");
        assert!(!format!("{secret:?}").contains("sesame"));
        assert!(secret.matches(b"open sesame"));
        assert!(!secret.matches(b"open sesam"));
        assert!(!secret.matches(b"open sesame!"));
        assert!(!secret.matches(b""));
    }
}
