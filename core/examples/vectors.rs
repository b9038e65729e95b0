//! Writes the shared test vectors: `cargo run --release -p spillway-core --example vectors -- proto/vectors`
//!
//! What is expected comes from the plain definitions, not from the code under test. Java, Python and
//! `core/tests/vectors.rs` read the files.

#[path = "../tests/plain/batch_cases.rs"]
mod batch_cases;
#[path = "../tests/plain/mod.rs"]
mod plain;
#[path = "../tests/plain/wordcount_cases.rs"]
mod wordcount_cases;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: vectors FOLDER")?;
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("wordcount.json"),
        one_case_a_line(&wordcount_cases::cases()),
    )?;
    fs::write(
        folder.join("batch.json"),
        one_case_a_line(&batch_cases::cases()),
    )?;
    Ok(())
}

fn one_case_a_line(cases: &[Value]) -> String {
    let mut text = String::from("[\n");
    for (i, case) in cases.iter().enumerate() {
        let comma = if i + 1 < cases.len() { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{case}{comma}");
    }
    text.push_str("]\n");
    text
}
