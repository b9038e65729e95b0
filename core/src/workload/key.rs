//! The key of a row while it is on its way into the aggregation.

/// A row's key, with its first bytes packed into one number, so that short keys (most words, most
/// codes) are hashed and compared as a number.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    bytes: &'a [u8],
    packed: u64,
}

/// Keys of up to this many bytes are their packed form.
const PACKED_BYTES: usize = 7;
/// Stands for the length of longer keys in the packed form's top byte.
const LONG: u64 = 0xff << 56;

impl<'a> Key<'a> {
    /// A key.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut head = [0; 8];
        let short = bytes.len().min(PACKED_BYTES);
        head[..short].copy_from_slice(&bytes[..short]);
        Self::from_head(bytes, u64::from_le_bytes(head))
    }

    /// The key `buffer[start..end]`. Quicker than [`Key::new`] if the buffer goes on for at least
    /// eight bytes after `start`, whatever they are.
    ///
    /// # Panics
    /// If the range is not within the buffer.
    #[inline]
    pub fn within(buffer: &'a [u8], start: usize, end: usize) -> Self {
        match buffer[start..].first_chunk::<8>() {
            Some(head) => {
                let bytes = &buffer[start..end];
                let kept = (1 << (8 * bytes.len().min(PACKED_BYTES))) - 1;
                Self::from_head(bytes, u64::from_le_bytes(*head) & kept)
            }
            None => Self::new(&buffer[start..end]),
        }
    }

    #[inline]
    fn from_head(bytes: &'a [u8], head: u64) -> Self {
        let length = if bytes.len() <= PACKED_BYTES {
            (bytes.len() as u64) << 56
        } else {
            LONG
        };
        let packed = head | length;
        Self { bytes, packed }
    }

    /// The key itself.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first seven bytes and the length. Two keys that differ in it are different; two
    /// [short](is_short) keys that have it in common are equal.
    #[inline]
    pub(crate) fn packed(&self) -> u64 {
        self.packed
    }
}

/// Whether a packed form says it all.
#[inline]
pub(crate) fn is_short(packed: u64) -> bool {
    packed < LONG
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_the_same_wherever_it_lies(
            before in prop::collection::vec(any::<u8>(), 0..3),
            key in prop::collection::vec(any::<u8>(), 0..20),
            after in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let buffer = [&before[..], &key, &after].concat();
            let within = Key::within(&buffer, before.len(), before.len() + key.len());
            let alone = Key::new(&key);
            prop_assert_eq!(within.bytes(), alone.bytes());
            prop_assert_eq!(within.packed(), alone.packed());
            prop_assert_eq!(is_short(within.packed()), key.len() <= 7);
        }

        #[test]
        fn short_keys_with_the_same_packed_form_are_equal(
            a in prop::collection::vec(0..2_u8, 0..=7),
            b in prop::collection::vec(0..2_u8, 0..=7),
        ) {
            prop_assert_eq!(Key::new(&a).packed() == Key::new(&b).packed(), a == b);
        }
    }
}
