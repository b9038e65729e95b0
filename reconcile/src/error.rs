//! What can go wrong, and with which exit code a script learns of it.

use std::fmt;
use std::io;

/// The kinds of failure that a caller can tell apart, named and numbered after `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The command line makes no sense (64).
    Usage,
    /// An input is not what it should be, such as a malformed ledger line (65).
    Data,
    /// An input does not exist: no such folder, bucket or object (66).
    NoInput,
    /// The storage cannot be reached or does not answer (69).
    Unavailable,
    /// An output cannot be made (73).
    CannotCreate,
    /// Reading or writing failed on the way (74).
    Io,
    /// Whoever read standard output has gone. No failure by itself; 74 where it is one.
    ReaderGone,
    /// Access was denied (77).
    Permission,
    /// The environment is set up wrongly, such as another region than the bucket's (78).
    Config,
}

impl ErrorKind {
    /// The exit code of `sysexits.h`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::CannotCreate => 73,
            Self::Io | Self::ReaderGone => 74,
            Self::Permission => 77,
            Self::Config => 78,
        }
    }
}

/// A failure that ends the command: one line that says what was being done, to what, and what the
/// user can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// A failure of this kind. Line breaks in the message become spaces, so that it is one line.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        let message = message.to_string().replace(['\n', '\r'], " ");
        Self { kind, message }
    }

    /// A failed operation of the operating system: `doing` says which, on what.
    pub fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NoInput,
            io::ErrorKind::PermissionDenied => ErrorKind::Permission,
            io::ErrorKind::BrokenPipe => ErrorKind::ReaderGone,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format_args!("{doing}: {error}"))
    }

    /// A failed attempt to make an output.
    pub fn create(doing: impl fmt::Display, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::Permission,
            io::ErrorKind::StorageFull => ErrorKind::Io,
            _ => ErrorKind::CannotCreate,
        };
        Self::new(kind, format_args!("{doing}: {error}"))
    }

    /// Which kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
