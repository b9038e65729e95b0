//! JSON fields that have one right value, such as `"type": "receipt"`: written as it, and anything
//! else refused when read.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The only version of receipts and books there is.
const VERSION: u64 = 1;

/// `#[serde(with = "marker::version")]` on a `()` field.
pub(crate) mod version {
    use super::{Deserialize, Deserializer, Error, Serializer, VERSION};

    pub(crate) fn serialize<S: Serializer>((): &(), serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match u64::deserialize(deserializer)? {
            VERSION => Ok(()),
            other => Err(D::Error::custom(format_args!(
                "version {other}: this program knows version {VERSION} only"
            ))),
        }
    }
}

macro_rules! type_marker {
    ($module:ident, $name:literal) => {
        pub(crate) mod $module {
            use super::{Deserialize, Deserializer, Error, Serializer};

            pub(crate) const NAME: &str = $name;

            pub(crate) fn serialize<S: Serializer>((): &(), s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(NAME)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<(), D::Error> {
                let found = std::borrow::Cow::<'de, str>::deserialize(d)?;
                if found == NAME {
                    Ok(())
                } else {
                    Err(D::Error::custom(format_args!(
                        "type {found:?}: expected {NAME:?}"
                    )))
                }
            }
        }
    };
}

type_marker!(receipt, "receipt");
type_marker!(books, "books");

/// For a field that may be null but must be there.
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}
