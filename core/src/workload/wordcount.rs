//! Wordcount: how often each word occurs.
//!
//! The words of a record are those of Flink's own `WordCount`: decode as UTF-8 (invalid sequences
//! become U+FFFD), lower-case, split at every run of characters outside `[A-Za-z0-9_]`, drop empties.
//!
//! That needs no decoding. Only ASCII bytes, U+212A (Kelvin, lower-cased `k`) and U+0130 (lower-cased
//! `i` and U+0307) come to be word characters; every other character, and every U+FFFD that stands for
//! something invalid, splits. And neither E2 84 AA nor C4 B0 can be part of a longer or of an invalid
//! sequence, since E2 and C4 always begin one. So a record is words and gaps byte by byte, and 64 of
//! them are looked at at once: lower-cased, and one bit each for "belongs to a word". The loops over
//! a block have a fixed length and no branch, so that the compiler makes them SIMD instructions.

use super::{Key, Measure, Merge, Outcome, Workload};

const BLOCK: usize = 64;

/// Counts words. Holds a buffer that is used for one record after the other.
#[derive(Debug, Clone, Default)]
pub struct Wordcount {
    /// The record, lower-cased; then at least [`BLOCK`] bytes more, so that keys can be read in
    /// eight-byte steps.
    lower: Vec<u8>,
    /// A record with non-ASCII characters, rewritten in ASCII that gives the same words.
    ascii: Vec<u8>,
}

impl Workload for Wordcount {
    const NAME: &'static str = "wordcount";
    const MEASURES: &'static [Measure] = &[Measure {
        name: "count",
        merge: Merge::Sum,
    }];

    #[inline]
    fn process(&mut self, record: &[u8], mut emit: impl FnMut(Key<'_>, &[i64])) -> Outcome {
        let count = &[1];
        if record.is_ascii() {
            words_of_ascii(record, &mut self.lower, |word| emit(word, count));
        } else {
            to_ascii(record, &mut self.ascii);
            words_of_ascii(&self.ascii, &mut self.lower, |word| emit(word, count));
        }
        Outcome::Rows
    }
}

/// Writes ASCII that has the same words as `record`.
#[cold]
fn to_ascii(record: &[u8], ascii: &mut Vec<u8>) {
    ascii.clear();
    let mut rest = record;
    loop {
        rest = match *rest {
            [byte, ref rest @ ..] if byte.is_ascii() => {
                ascii.push(byte);
                rest
            }
            [0xe2, 0x84, 0xaa, ref rest @ ..] => {
                ascii.push(b'k');
                rest
            }
            [0xc4, 0xb0, ref rest @ ..] => {
                ascii.extend_from_slice(b"i ");
                rest
            }
            [_, ref rest @ ..] => {
                ascii.push(b' ');
                rest
            }
            [] => return,
        }
    }
}

#[inline]
fn words_of_ascii(record: &[u8], lower: &mut Vec<u8>, mut emit: impl FnMut(Key<'_>)) {
    let blocks = record.len().div_ceil(BLOCK);
    if lower.len() < (blocks + 1) * BLOCK {
        lower.resize((blocks + 1) * BLOCK, 0);
    }
    let (full, tail) = record.as_chunks::<BLOCK>();
    let mut padded = [0; BLOCK];
    padded[..tail.len()].copy_from_slice(tail);
    let tail = (!tail.is_empty()).then_some(&padded);

    // Where the word at hand began, and whether the byte before this block was part of it.
    let (mut start, mut in_word) = (0, false);
    for (index, block) in full.iter().chain(tail).enumerate() {
        let base = index * BLOCK;
        let (folded, word_bytes) = fold(block);
        lower[base..base + BLOCK].copy_from_slice(&folded);
        // A bit is set where a word begins, and where one has just ended.
        let mut edges = word_bytes ^ (word_bytes << 1 | u64::from(in_word));
        while edges != 0 {
            let at = base + edges.trailing_zeros() as usize;
            edges &= edges - 1;
            if in_word {
                emit(Key::within(lower, start, at));
            }
            start = at;
            in_word = !in_word;
        }
    }
    if in_word {
        emit(Key::within(lower, start, record.len()));
    }
}

/// A block in lower case, and which of its bytes belong to words, the first one in the lowest bit.
#[inline]
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without branches, so that it becomes SIMD instructions"
)]
fn fold(block: &[u8; BLOCK]) -> ([u8; BLOCK], u64) {
    let mut lower = *block;
    let mut class = [0; BLOCK];
    for (byte, class) in lower.iter_mut().zip(&mut class) {
        let upper = byte.wrapping_sub(b'A') < 26;
        *byte |= u8::from(upper) << 5;
        let letter = byte.wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        *class = u8::from(letter | digit | (*byte == b'_'));
    }
    let mut bits = 0;
    for (index, eight) in class.as_chunks::<8>().0.iter().enumerate() {
        // Gathers the lowest bit of each of eight bytes into the product's top byte, in order.
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * index);
    }
    (lower, bits)
}
