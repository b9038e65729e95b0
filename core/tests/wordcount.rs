//! The quick tokenizer gives the words of the plain definition, for all bytes.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod plain;

use proptest::prelude::*;
use spillway_core::workload::{Outcome, Wordcount, Workload};

fn words_with(workload: &mut Wordcount, record: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    let outcome = workload.process(record, |key, measures| {
        assert_eq!(measures, [1]);
        words.push(String::from_utf8(key.bytes().to_vec()).unwrap());
    });
    assert_eq!(outcome, Outcome::Rows);
    words
}

fn words(record: &[u8]) -> Vec<String> {
    words_with(&mut Wordcount::default(), record)
}

/// The claim that the tokenizer rests on.
#[test]
fn only_ascii_kelvin_and_dotted_i_lower_case_to_word_characters() {
    let mut others = Vec::new();
    for c in ('\u{80}'..=char::MAX).filter(|c| !c.is_ascii()) {
        if c.to_lowercase().any(|lower| lower.is_ascii()) {
            others.push((c, c.to_lowercase().collect::<String>()));
        }
    }
    assert_eq!(
        others,
        [
            ('\u{130}', "i\u{307}".to_owned()),
            ('\u{212a}', "k".to_owned())
        ]
    );
}

#[test]
fn every_character_between_letters_splits_or_joins_as_defined() {
    let mut workload = Wordcount::default();
    for c in '\0'..=char::MAX {
        let text = format!("A{c}b");
        assert_eq!(
            words_with(&mut workload, text.as_bytes()),
            plain::words(text.as_bytes()),
            "{c:?}"
        );
    }
}

#[test]
fn every_three_bytes_give_the_words_of_the_definition() {
    // Every lead byte with every second byte, then those third bytes that differ in meaning.
    let mut workload = Wordcount::default();
    for lead in 0x80..=0xff_u8 {
        for second in 0..=0xff_u8 {
            for third in [
                b'A', b' ', 0x7f, 0x80, 0x84, 0xaa, 0xb0, 0xbf, 0xc4, 0xe2, 0xf0,
            ] {
                let record = [b'x', lead, second, third, b'y', 0xe2, 0x84, 0xaa];
                assert_eq!(
                    words_with(&mut workload, &record),
                    plain::words(&record),
                    "{record:02x?}"
                );
            }
        }
    }
}

#[test]
fn words_may_begin_and_end_anywhere_in_a_block() {
    let mut workload = Wordcount::default();
    for before in 0..140 {
        for length in [0, 1, 7, 8, 9, 63, 64, 65, 128, 129, 300] {
            for after in [0, 1, 64] {
                let record = [vec![b' '; before], vec![b'Q'; length], vec![b'-'; after]].concat();
                let expected = if length == 0 {
                    vec![]
                } else {
                    vec!["q".repeat(length)]
                };
                assert_eq!(words_with(&mut workload, &record), expected);
            }
        }
    }
}

#[test]
fn a_record_leaves_nothing_behind_for_the_next_one() {
    let mut workload = Wordcount::default();
    assert_eq!(words_with(&mut workload, &[b'z'; 1000]).len(), 1);
    assert_eq!(words_with(&mut workload, b"a"), ["a"]);
    assert_eq!(words_with(&mut workload, "ä b".as_bytes()), ["b"]);
    assert_eq!(words_with(&mut workload, b""), [""; 0]);
}

/// Bytes of the kind that matters, in any order: letters, separators, parts of sequences.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9_]{1,12}".prop_map(String::into_bytes),
        2 => "[ -~]{0,4}".prop_map(String::into_bytes),
        2 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        1 => Just("\u{212a}".as_bytes().to_vec()),
        1 => Just("\u{130}".as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
        1 => prop::sample::select(vec![0xe2, 0x84, 0xaa, 0xc4, 0xb0, 0xf0, 0xed, 0xa0, 0xc0, 0x80])
            .prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_bytes_give_the_words_of_the_definition(record in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(words(&record), plain::words(&record));
    }

    #[test]
    fn any_text_gives_the_words_of_the_definition(record in "\\PC{0,120}") {
        prop_assert_eq!(words(record.as_bytes()), plain::words(record.as_bytes()));
    }

    #[test]
    fn any_mix_of_words_and_broken_sequences_gives_the_words_of_the_definition(record in pieces()) {
        prop_assert_eq!(words(&record), plain::words(&record));
    }
}
