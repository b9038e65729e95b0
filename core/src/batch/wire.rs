//! The few parts of protobuf's wire format that a batch needs, over a borrowed slice.

/// How deep unknown groups may nest before a message is refused; the same bound as prost's.
const MAX_GROUP_DEPTH: u32 = 100;
/// A varint has at most this many bytes.
const MAX_VARINT_BYTES: usize = 10;

/// What is wrong with the bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field reaches beyond the end of the message.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("a varint has more than 64 bits")]
    VarintTooLong,
    /// A field number of 0, or one beyond protobuf's range.
    #[error("a field number is out of range")]
    FieldNumber,
    /// A known field has another type than it should have, or the type does not exist.
    #[error("a field has the wrong wire type")]
    WireType,
    /// Groups that end where they should not, or nest too deep.
    #[error("a group is not well-formed")]
    Group,
    /// A string that is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// Reads varints and fields from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        // Offsets and lengths of real batches take one or two bytes.
        match *self.rest {
            [a, ref rest @ ..] if a < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a))
            }
            [a, b, ref rest @ ..] if b < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a & 0x7f) | u64::from(b) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (i, &byte) in self.rest.iter().take(MAX_VARINT_BYTES).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                // The tenth byte has room for one bit only.
                if i == MAX_VARINT_BYTES - 1 && byte > 1 {
                    return Err(WireError::VarintTooLong);
                }
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < MAX_VARINT_BYTES {
            WireError::Truncated
        } else {
            WireError::VarintTooLong
        })
    }

    /// Like [`varint`](Self::varint), but also gives the bytes that it took.
    pub(super) fn varint_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let before = self.rest;
        self.varint()?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    pub(super) fn tag(&mut self) -> Result<(u32, WireType), WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::FieldNumber)?;
        let field = tag >> 3;
        if field == 0 {
            return Err(WireError::FieldNumber);
        }
        let wire_type = match tag & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            _ => return Err(WireError::WireType),
        };
        Ok((field, wire_type))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let size = self.varint()?;
        self.take(size)
    }

    pub(super) fn string(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8)
    }

    fn take(&mut self, size: u64) -> Result<&'a [u8], WireError> {
        let (taken, rest) = usize::try_from(size)
            .ok()
            .and_then(|size| self.rest.split_at_checked(size))
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Steps over the value of an unknown field.
    pub(super) fn skip(&mut self, field: u32, wire_type: WireType) -> Result<(), WireError> {
        self.skip_nested(field, wire_type, MAX_GROUP_DEPTH)
    }

    fn skip_nested(
        &mut self,
        field: u32,
        wire_type: WireType,
        depth: u32,
    ) -> Result<(), WireError> {
        match wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.take(8).map(drop),
            WireType::Bytes => self.bytes().map(drop),
            WireType::Fixed32 => self.take(4).map(drop),
            WireType::EndGroup => Err(WireError::Group),
            WireType::StartGroup => {
                let depth = depth.checked_sub(1).ok_or(WireError::Group)?;
                loop {
                    match self.tag()? {
                        (inner, WireType::EndGroup) if inner == field => return Ok(()),
                        (inner, wire_type) => self.skip_nested(inner, wire_type, depth)?,
                    }
                }
            }
        }
    }
}

/// Undoes zigzag: 0, 1, 2, 3… stand for 0, −1, 1, −2…
#[inline]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Zigzag: small numbers of either sign become small unsigned numbers.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a varint field.
pub(super) fn put_varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, value);
}

/// Appends a length-delimited field.
pub(super) fn put_bytes_field(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length_read_back() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1_u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, value);
                bytes.push(0xff);
                let mut reader = Reader::new(&bytes);
                assert_eq!(reader.varint(), Ok(value));
                assert_eq!(reader.rest, [0xff]);
            }
        }
    }

    #[test]
    fn varints_without_end_or_beyond_64_bits_are_refused() {
        assert_eq!(Reader::new(&[]).varint(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0x80]).varint(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0x80; 9]).varint(), Err(WireError::Truncated));
        let mut ten = [0x80; 10];
        assert_eq!(Reader::new(&ten).varint(), Err(WireError::VarintTooLong));
        ten[9] = 1;
        assert_eq!(Reader::new(&ten).varint(), Ok(1 << 63));
        ten[9] = 2;
        assert_eq!(Reader::new(&ten).varint(), Err(WireError::VarintTooLong));
    }

    #[test]
    fn zigzag_is_its_own_inverse_at_the_edges() {
        for value in [0, -1, 1, -2, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!(zigzag(-1), 1);
    }

    #[test]
    fn unknown_groups_are_stepped_over_but_not_without_bound() {
        let group = [0x4b, 0x08, 0x01, 0x4c, 0x07];
        let mut reader = Reader::new(&group);
        let (field, wire_type) = reader.tag().unwrap();
        assert_eq!(reader.skip(field, wire_type), Ok(()));
        assert_eq!(reader.rest, [0x07]);

        let endless = vec![0x4b; 100_000];
        let mut reader = Reader::new(&endless);
        let (field, wire_type) = reader.tag().unwrap();
        assert_eq!(reader.skip(field, wire_type), Err(WireError::Group));

        let other_end = [0x4b, 0x54];
        let mut reader = Reader::new(&other_end);
        let (field, wire_type) = reader.tag().unwrap();
        assert_eq!(reader.skip(field, wire_type), Err(WireError::Group));
    }
}
