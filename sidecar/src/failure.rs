//! How the program ends when it cannot do what it was asked.

use std::fmt;
use std::io::{self, Write as _};

/// The exit codes used here; from 64 on as in BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 1: what was compared differs: two policies, a run and what is expected of it, what can be had and the
    /// objective.
    Different = 1,
    /// 64: the command line is wrong.
    Usage = 64,
    /// 65: what was given to be worked on is wrong.
    Data = 65,
    /// 66: an input file is missing or cannot be read.
    NoInput = 66,
    /// 69: something that is needed is not there.
    Unavailable = 69,
    /// 73: a file cannot be created.
    CannotCreate = 73,
    /// 74: reading or writing failed.
    Io = 74,
    /// 75: not now; it may go another time.
    Temporary = 75,
    /// 76: the other side speaks another language.
    Protocol = 76,
    /// 77: a permission is missing.
    Permission = 77,
    /// 78: the configuration is wrong.
    Config = 78,
}

/// An end with an exit code and one line that says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the process exits with.
    pub code: ExitCode,
    /// One line.
    pub message: String,
}

impl Failure {
    /// A failure; line breaks of the message become spaces.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        let message = message
            .into()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Self { code, message }
    }
}

impl Failure {
    /// An end that says all by its exit code.
    pub fn silent(code: ExitCode) -> Self {
        Self::new(code, "")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Writes `text` to the standard error. Where that cannot be written (`2>&1 | head -1`, a full disk) there is nobody
/// left to tell, and what the program exits with has to stay.
pub fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
