//! The cases of `proto/vectors/wordcount.json`, with what is expected by the plain definitions.

#![allow(unreachable_pub, reason = "shared by an example and a test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::plain;

/// Records and their words.
pub fn cases() -> Vec<Value> {
    let case = |name: &str, record: &[u8]| {
        json!({
            "name": name,
            "record_base64": STANDARD.encode(record),
            "words": plain::words(record),
        })
    };
    let mut cases: Vec<_> = TEXTS
        .iter()
        .map(|(name, text)| case(name, text.as_bytes()))
        .collect();
    cases.extend(BYTES.iter().map(|(name, bytes)| case(name, bytes)));
    cases.push(case("one very long word", "Long".repeat(5000).as_bytes()));
    let mixed = "Tick \u{212a}ock \u{e9}t\u{e9} 42_x; ".repeat(700);
    cases.push(case("one very long line", mixed.as_bytes()));
    cases.push(case(
        "only separators, very long",
        "-".repeat(5000).as_bytes(),
    ));
    for length in [7, 8, 9, 63, 64, 65, 127, 128, 129] {
        let name = format!("a word of {length} bytes, then another");
        cases.push(case(&name, format!("{} b", "A".repeat(length)).as_bytes()));
    }
    cases
}

const TEXTS: &[(&str, &str)] = &[
    ("empty", ""),
    ("one word", "word"),
    ("prose", "To be, or not to be,--that is the question:--"),
    ("upper case", "HELLO World hELLO"),
    ("only separators", " .,;:!?-()[]{}'\"/\\|@#$%^&*+=~`<>"),
    ("one separator", " "),
    ("separators at both ends", "  a b  "),
    (
        "underscores are word characters",
        "_ __ a_b _a a_ snake_case_",
    ),
    ("digits are word characters", "0 123 4five 6_7 0x1F"),
    ("apostrophe splits", "don't o'clock"),
    ("hyphen splits", "well-known e-mail"),
    ("tabs", "a\tb\t\tc"),
    ("carriage return at the end", "end of line\r"),
    ("carriage return inside", "a\rb"),
    ("line feed inside", "a\nb\n"),
    ("NUL", "a\0b\0"),
    (
        "control characters",
        "a\u{1}b\u{8}c\u{b}d\u{c}e\u{1b}f\u{7f}g",
    ),
    (
        "every ASCII character",
        "\0\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{e}\u{f}\u{10}\u{11}\u{12}\u{13}\u{14}\u{15}\u{16}\u{17}\u{18}\u{19}\u{1a}\u{1b}\u{1c}\u{1d}\u{1e}\u{1f} !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\u{7f}",
    ),
    ("U+212A Kelvin sign alone", "\u{212a}"),
    (
        "U+212A Kelvin sign in words",
        "\u{212a}elvin 300\u{212a} as\u{212a} \u{212a}\u{212a}",
    ),
    (
        "U+212B Angstrom sign is no letter a",
        "\u{212b}ngstrom a\u{212b}b",
    ),
    ("U+2126 Ohm sign splits", "a\u{2126}b"),
    ("neighbours of U+212A split", "a\u{2129}b\u{212b}c"),
    ("U+0130 dotted capital I alone", "\u{130}"),
    (
        "U+0130 becomes i and a combining dot",
        "\u{130}stanbul D\u{130}YARBAKIR \u{130}\u{130} x\u{130}",
    ),
    ("U+0131 dotless i splits", "\u{131}stanbul a\u{131}b I"),
    ("neighbours of U+0130 split", "a\u{12f}b\u{131}c"),
    ("capital I is i whatever the locale", "I TITLE Iii"),
    ("sharp s splits", "stra\u{df}e STRA\u{1e9e}E"),
    (
        "final sigma splits",
        "\u{39f}\u{394}\u{39f}\u{3a3} a\u{3a3} \u{3a3}b a\u{3a3}b",
    ),
    (
        "Latin-1 letters split",
        "caf\u{e9} na\u{ef}ve \u{c9}T\u{c9}",
    ),
    ("micro sign splits", "\u{b5}m"),
    ("long s splits", "po\u{17f}t"),
    ("ligatures split", "\u{fb01}ne a\u{fb02}b"),
    (
        "combining marks split",
        "e\u{301}t a\u{308} i\u{307}x n\u{303}o",
    ),
    ("combining mark first", "\u{301}abc"),
    ("Arabic-Indic digits split", "1\u{661}2\u{662}3"),
    ("Devanagari digits split", "a\u{966}b"),
    ("full-width letters split", "\u{ff21}\u{ff22}a\u{ff43}b"),
    (
        "full-width digits and low line split",
        "1\u{ff11}2\u{ff3f}3",
    ),
    ("superscript digits split", "x\u{b2}y\u{b9}z"),
    ("Roman numerals split", "\u{2160}\u{2170}a\u{216f}b"),
    (
        "Cyrillic",
        "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442} hi \u{43c}\u{438}\u{440}",
    ),
    ("Chinese", "\u{4e2d}\u{6587}abc\u{4e2d}def"),
    ("emoji", "go\u{1f680}team \u{1f469}\u{200d}\u{1f4bb} ok"),
    ("Deseret capitals lower-case outside ASCII", "a\u{10400}b"),
    ("mathematical letters split", "\u{1d400}bc\u{1d7ce}d"),
    (
        "zero-width characters split",
        "a\u{200b}b\u{200d}c\u{feff}d",
    ),
    ("byte-order mark first", "\u{feff}first word"),
    (
        "no-break space and others split",
        "a\u{a0}b\u{2003}c\u{3000}d",
    ),
    (
        "line and paragraph separators split",
        "a\u{2028}b\u{2029}c\u{85}d",
    ),
    ("U+FFFD itself splits", "a\u{fffd}b"),
    ("non-characters split", "a\u{ffff}b\u{10ffff}c"),
    (
        "highest and lowest of each length",
        "a\u{7f}b\u{80}c\u{7ff}d\u{800}e\u{ffff}f\u{10000}g\u{10ffff}h",
    ),
    (
        "a log line",
        "83.149.9.216 - - [17/May/2015:10:05:03 +0000] \"GET /index.html HTTP/1.1\" 200 203023",
    ),
    (
        "a JSON object",
        "{\"user_id\": 42, \"Name\": \"J\u{f6}rg\"}",
    ),
];

const BYTES: &[(&str, &[u8])] = &[
    ("Kelvin sign cut short at the end", b"a\xe2\x84"),
    ("Kelvin sign cut short by a letter", b"a\xe2\x84k b"),
    ("Kelvin sign cut short by itself", b"a\xe2\x84\xe2\x84\xaab"),
    ("lead byte of Kelvin before Kelvin", b"x\xe2\xe2\x84\xaay"),
    ("tail of Kelvin sign alone", b"a\x84\xaab"),
    (
        "Kelvin sign within a broken four-byte sequence",
        b"\xf0\x9f\xe2\x84\xaa",
    ),
    ("dotted capital I cut short at the end", b"a\xc4"),
    ("dotted capital I cut short by a letter", b"a\xc4I"),
    (
        "dotted capital I after its own lead byte",
        b"a\xc4\xc4\xb0b",
    ),
    (
        "dotted capital I within a broken three-byte sequence",
        b"\xe2\xc4\xb0x",
    ),
    ("lone continuation bytes", b"a\x80b\xbfc\x80\x80d"),
    ("lone lead bytes", b"a\xc3b\xe3c\xf1d"),
    (
        "bytes that never occur",
        b"a\xc0b\xc1c\xf5d\xf8e\xfcf\xfeg\xffh",
    ),
    ("overlong slash", b"a\xc0\xafb"),
    ("overlong letter in two bytes", b"x\xc1\x81y"),
    ("overlong letter in three bytes", b"x\xe0\x81\x81y"),
    ("overlong letter in four bytes", b"x\xf0\x80\x81\x81y"),
    ("overlong NUL of Java's modified UTF-8", b"x\xc0\x80y"),
    ("overlong Kelvin sign in four bytes", b"x\xf0\x82\x84\xaay"),
    ("high surrogate encoded", b"a\xed\xa0\x80b"),
    ("low surrogate encoded", b"a\xed\xb0\x80b"),
    (
        "surrogate pair encoded as CESU-8",
        b"a\xed\xa0\xbd\xed\xb8\x80b",
    ),
    ("last before the surrogates is valid", b"a\xed\x9f\xbfb"),
    ("beyond U+10FFFF", b"a\xf4\x90\x80\x80b"),
    ("five-byte sequence", b"a\xf8\x88\x80\x80\x80b"),
    ("six-byte sequence", b"a\xfc\x84\x80\x80\x80\x80b"),
    ("two-byte sequence cut short at the end", b"caf\xc3"),
    ("three-byte sequence cut short after one byte", b"euro\xe2"),
    (
        "four-byte sequence cut short after three bytes",
        b"go\xf0\x9f\x9a",
    ),
    (
        "four-byte sequence cut short by letters",
        b"go\xf0\x9f\x9ateam",
    ),
    ("Latin-1 text", b"Gr\xfc\xdfe aus K\xf6ln"),
    ("UTF-16 text", b"a\0b\0 \0c\0"),
    ("UTF-16 byte-order mark", b"\xff\xfea\0"),
    ("all bytes from 80 to ff", &{
        let mut bytes = [0; 128];
        let mut byte = 0x80_u8;
        while byte != 0 {
            bytes[(byte - 0x80) as usize] = byte;
            byte = byte.wrapping_add(1);
        }
        bytes
    }),
];
