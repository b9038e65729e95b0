//! JSON fields that have one right value, such as `"type": "receipt"`: written as it, and anything
//! else refused when read.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

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

/// For a field that must be a JSON object. Serde would take an array of the fields' values as well.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}
