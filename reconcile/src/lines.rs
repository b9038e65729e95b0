//! Text objects, read as blocks of whole lines.

use memchr::{memchr, memrchr};

use crate::error::{Error, ErrorKind};
use crate::store::{Object, Store};

/// The longest line that is believed to be one, in bytes: far above a batch's largest record.
const MAX_LINE_BYTES: usize = 256 << 20;

/// Some whole lines of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    /// The number of the first line, from 1.
    pub(crate) first_line: u64,
    bytes: &'a [u8],
}

impl<'a> Block<'a> {
    /// Each line, without its `\n`, with its number.
    pub(crate) fn lines(self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let mut rest = self.bytes;
        let mut number = self.first_line;
        std::iter::from_fn(move || {
            let end = memchr(b'\n', rest)?;
            let line = (number, &rest[..end]);
            rest = &rest[end + 1..];
            number += 1;
            Some(line)
        })
    }
}

/// Reads `object` from start to end, `block_bytes` at a time, and hands its lines to `visit`.
///
/// Memory: two blocks, or what the longest line takes. A last line without `\n` is an error: every
/// line is written with one, so the object is cut off, and what is left of the line might still
/// look like a whole one.
pub(crate) fn for_each_block(
    store: &dyn Store,
    object: &Object,
    block_bytes: usize,
    visit: &mut dyn FnMut(Block<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let uri = || store.uri(&object.key);
    let mut pending: Vec<u8> = Vec::new();
    let mut first_line = 1;
    let mut offset = 0;
    while offset < object.bytes {
        let chunk = store
            .read(&object.key, offset, block_bytes)?
            .unwrap_or_default();
        if chunk.is_empty() {
            // Committed files do not change; this one did, or is gone.
            let message = format!("{}: it changed while it was being read: run again", uri());
            return Err(Error::new(ErrorKind::NoInput, message));
        }
        offset += chunk.len() as u64;
        let Some(last_break) = memrchr(b'\n', &chunk) else {
            pending.extend_from_slice(&chunk);
            if pending.len() > MAX_LINE_BYTES {
                let message = format!(
                    "{}:{first_line}: a line of more than {MAX_LINE_BYTES} bytes",
                    uri()
                );
                return Err(Error::new(ErrorKind::Data, message));
            }
            continue;
        };
        // Only the line that began in an earlier chunk is copied together.
        let mut whole = &chunk[..=last_break];
        if !pending.is_empty()
            && let Some(end) = memchr(b'\n', whole)
        {
            pending.extend_from_slice(&whole[..=end]);
            whole = &whole[end + 1..];
            visit(Block {
                first_line,
                bytes: &pending,
            })?;
            first_line += 1;
        }
        visit(Block {
            first_line,
            bytes: whole,
        })?;
        first_line += memchr::memchr_iter(b'\n', whole).count() as u64;
        pending.clear();
        pending.extend_from_slice(&chunk[last_break + 1..]);
    }
    if pending.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{}:{first_line}: the last line has no line end: the file is cut off",
        uri()
    );
    Err(Error::new(ErrorKind::Data, message))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Body, DirectoryStore, list_committed};

    fn read(text: &[u8], block_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(folder.path().into());
        store
            .put("ledger/x", Body::Bytes(Bytes::copy_from_slice(text)))
            .unwrap();
        let objects = list_committed(&store, "ledger/").unwrap();
        let mut lines = Vec::new();
        for_each_block(&store, &objects[0], block_bytes, &mut |block| {
            lines.extend(block.lines().map(|(number, line)| (number, line.to_vec())));
            Ok(())
        })?;
        Ok(lines)
    }

    proptest! {
        #[test]
        fn lines_and_their_numbers_do_not_depend_on_the_blocks(
            lines in prop::collection::vec("[ab]{0,9}", 0..12),
            block_bytes in 1_usize..20,
        ) {
            let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
            let expected: Vec<_> =
                (1..).zip(lines.iter().map(|line| line.clone().into_bytes())).collect();
            prop_assert_eq!(read(text.as_bytes(), block_bytes).unwrap(), expected);
        }
    }

    #[test]
    fn a_last_line_without_line_end_is_refused_with_its_number() {
        let error = read(b"one\ntwo\nthr", 5).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("ledger/x:3:"), "{error}");
    }
}
