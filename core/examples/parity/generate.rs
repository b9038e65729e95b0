//! What is tried: records of every kind that has ever made two tokenizers disagree.

use crate::random::Random;

/// A record with its event time and the size of its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) event_time_ms: i64,
    pub(crate) window_size_ms: i64,
    pub(crate) record: Vec<u8>,
}

/// The longest record of the common kinds, in bytes or characters.
const LONGEST: usize = 600;

/// Bytes that begin, continue and break the sequences that matter: Kelvin (E2 84 AA), dotted I
/// (C4 B0), surrogates (ED A0), overlong forms (C0, E0 80), beyond U+10FFFF (F4 90), never valid (FF).
const FRAGMENTS: &[u8] = &[
    0xe2, 0x84, 0xaa, 0xc4, 0xb0, 0xed, 0xa0, 0x80, 0xbf, 0xc0, 0xaf, 0xe0, 0xf0, 0x9f, 0xf4, 0x90,
    0xf5, 0xff, 0xfe, 0xc3, 0xcc, 0x87, b'A', b'k', b'i', b'_', b'9', b' ', 0, b'\n',
];

/// What changes the meaning of the letter beside it: dot above, acute, iota below, joiners, soft
/// hyphen, apostrophes, and the letters with rules of their own in Turkish, Lithuanian and Greek.
const COMPANIONS: &[char] = &[
    '\u{307}',
    '\u{301}',
    '\u{300}',
    '\u{345}',
    '\u{328}',
    '\u{200d}',
    '\u{200c}',
    '\u{ad}',
    '\'',
    '\u{2019}',
    '.',
    ':',
    '\u{b7}',
    'I',
    'i',
    'J',
    'j',
    '\u{130}',
    '\u{131}',
    '\u{212a}',
    '\u{212b}',
    '\u{2126}',
    '\u{3a3}',
    '\u{3c2}',
    '\u{3c3}',
    '\u{df}',
    '\u{1e9e}',
    '\u{17f}',
    '\u{149}',
    '\u{1f0}',
    '\u{390}',
    '\u{fb00}',
    '\u{fb06}',
    '\u{1f88}',
    '\u{10400}',
    '\u{1e921}',
    'k',
    'K',
    '_',
    '0',
    ' ',
    '-',
];

/// Makes cases, block after block. The same seed and texts give the same ones.
pub(crate) struct Generator {
    seed: u64,
    lines: Vec<Vec<u8>>,
    /// Every character that has another case.
    cased: Vec<char>,
}

/// A kind of cases.
struct Kind {
    name: &'static str,
    /// How many of sixteen cases are of this kind.
    share: usize,
    make: fn(&Generator, &mut Random) -> Vec<u8>,
}

const fn kind(
    name: &'static str,
    share: usize,
    make: fn(&Generator, &mut Random) -> Vec<u8>,
) -> Kind {
    Kind { name, share, make }
}

const KINDS: &[Kind] = &[
    kind("random bytes", 2, |_, random| random_bytes(random)),
    kind("random Unicode", 3, |_, random| random_unicode(random)),
    kind("mutated text", 4, Generator::mutated_text),
    kind("case mappings", 4, Generator::case_mappings),
    kind("broken sequences", 2, |_, random| broken_sequences(random)),
    kind("edges of blocks", 1, |_, random| edges(random)),
];

impl Generator {
    /// A generator that also mutates the lines of `texts`.
    pub(crate) fn new(seed: u64, texts: &[Vec<u8>]) -> Self {
        let mut lines: Vec<Vec<u8>> = texts
            .iter()
            .flat_map(|text| text.split(|byte| *byte == b'\n'))
            .map(<[u8]>::to_vec)
            .collect();
        if lines.is_empty() {
            lines.push(b"To be, or not to be,--that is the question:--".to_vec());
        }
        let changes = |c: &char| !c.to_lowercase().eq([*c]) || !c.to_uppercase().eq([*c]);
        let cased = ('\0'..=char::MAX).filter(changes).collect();
        Self { seed, lines, cased }
    }

    /// The names of the kinds.
    pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.name)
    }

    /// The `index`-th block of cases. Adds to `tally` how many of each kind there are.
    pub(crate) fn block(&self, index: u64, size: usize, tally: &mut [u64]) -> Vec<Case> {
        let random = &mut Random::new(self.seed, index);
        (0..size)
            .map(|_| {
                let kind = kind_of(random.below(16));
                tally[kind] += 1;
                let mut record = (KINDS[kind].make)(self, random);
                if random.once_in(2000) {
                    // A long line of the same kind of thing.
                    let part = record.clone();
                    let times = random.below(400);
                    (0..times).for_each(|_| record.extend_from_slice(&part));
                }
                Case {
                    event_time_ms: event_time(random),
                    window_size_ms: window_size(random),
                    record,
                }
            })
            .collect()
    }

    fn mutated_text(&self, random: &mut Random) -> Vec<u8> {
        let mut line = self.lines[random.below(self.lines.len())].clone();
        for _ in 0..random.below(5) {
            let at = random.below(line.len() + 1);
            match random.below(8) {
                0 if at < line.len() => line[at] ^= 1 << random.below(8),
                1 if at < line.len() => line[at] = random.byte(),
                2 => line.insert(at, random.pick(FRAGMENTS)),
                3 => line.truncate(at),
                4 if at < line.len() => {
                    line.remove(at);
                }
                5 => line.make_ascii_uppercase(),
                6 => {
                    let other = &self.lines[random.below(self.lines.len())];
                    line.truncate(at);
                    line.extend_from_slice(&other[other.len().min(at)..]);
                }
                _ => {
                    let c = random.pick(COMPANIONS);
                    line.splice(at..at, c.to_string().into_bytes());
                }
            }
        }
        line
    }

    fn case_mappings(&self, random: &mut Random) -> Vec<u8> {
        let mut text = String::new();
        for _ in 0..random.length(60) {
            text.push(match random.below(4) {
                0 => random.pick(&self.cased),
                1 => random.pick(b"azAZkKiI_09 ").into(),
                _ => random.pick(COMPANIONS),
            });
        }
        text.into_bytes()
    }
}

fn kind_of(mut sixteenth: usize) -> usize {
    KINDS
        .iter()
        .position(|kind| {
            let within = sixteenth < kind.share;
            sixteenth = sixteenth.wrapping_sub(kind.share);
            within
        })
        // The shares add up to sixteen: a test says so.
        .unwrap_or_default()
}

fn random_bytes(random: &mut Random) -> Vec<u8> {
    (0..random.length(LONGEST)).map(|_| random.byte()).collect()
}

fn random_unicode(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..random.length(LONGEST / 2) {
        let (first, count) = match random.below(8) {
            0..=2 => (0x20, 0x60),
            3 => (0x80, 0x600),
            // Kelvin and other letter-like symbols; full-width forms.
            4 => (0x2100, 0x50),
            5 => (0xff00, 0x100),
            6 => (0, 0x1_0000),
            _ => (0, 0x11_0000),
        };
        // A surrogate is no character: take the replacement character instead.
        let code = first + u32::try_from(random.below(count)).unwrap_or_default();
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text.into_bytes()
}

fn broken_sequences(random: &mut Random) -> Vec<u8> {
    (0..random.length(120))
        .map(|_| random.pick(FRAGMENTS))
        .collect()
}

/// Words that begin and end around multiples of 64 bytes, where the quick tokenizer's blocks meet.
fn edges(random: &mut Random) -> Vec<u8> {
    let mut record = Vec::new();
    for _ in 0..=random.below(4) {
        let edge = (record.len() / 64 + 1) * 64;
        let near = (edge + random.below(5)).saturating_sub(2);
        let filler = random.pick(&[b' ', b'x', b'Q', 0]);
        record.resize(near.max(record.len()), filler);
        let c = random.pick(COMPANIONS);
        record.extend_from_slice(c.to_string().as_bytes());
    }
    record
}

fn event_time(random: &mut Random) -> i64 {
    let any = random.next().cast_signed();
    match random.below(8) {
        0 => any,
        1 => any % 10_000,
        2 => random.pick(&[i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
        _ => 1_767_225_600_000 + any % 100_000_000,
    }
}

fn window_size(random: &mut Random) -> i64 {
    match random.below(8) {
        0 => (random.next() >> 1).cast_signed().max(1),
        1 => random.pick(&[1, 2, 7_777, i64::MAX, i64::MAX - 1]),
        _ => random.pick(&[1000, 60_000, 86_400_000]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_the_kinds_add_up_to_sixteen() {
        assert_eq!(KINDS.iter().map(|kind| kind.share).sum::<usize>(), 16);
        assert_eq!(kind_of(0), 0);
        assert_eq!(kind_of(15), KINDS.len() - 1);
    }

    #[test]
    fn a_block_is_the_same_whenever_it_is_made_and_holds_every_kind() {
        let generator = Generator::new(7, &[b"one line\nanother".to_vec()]);
        let mut tally = vec![0; KINDS.len()];
        let block = generator.block(3, 500, &mut tally);
        assert_eq!(block, generator.block(3, 500, &mut vec![0; KINDS.len()]));
        assert!(tally.iter().all(|count| *count > 0), "{tally:?}");
        assert_ne!(block, generator.block(4, 500, &mut tally));
    }
}
