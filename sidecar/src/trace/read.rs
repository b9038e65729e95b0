//! Reads a trace, and says in which line it is wrong.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use spillway_core::ids::{JobName, ValveName};

use super::{Event, Header, VERSION};
use crate::decide::{Moment, Policy};

/// A longer line is not a line of ours: the state of 4096 subtasks with full histories has about 60 MB.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// A trace that cannot be used, and where.
#[derive(Debug, thiserror::Error)]
#[error("{name} line {line}: {fault}")]
pub struct TraceError {
    /// The trace: its file, or what the caller named it.
    pub name: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The first line is no header.
    #[error("this is no trace: {0}")]
    NoTrace(String),
    /// The header is of another version.
    #[error(
        "the trace is of version {found}; this program reads version {VERSION}: record it anew"
    )]
    OtherVersion {
        /// The version that it says it has.
        found: u64,
    },
    /// It cannot be read as what it should be.
    #[error("malformed: {0}")]
    Malformed(String),
    /// It is earlier than the line before it.
    #[error("out of order: it is {by_ns} ns earlier than the line before it")]
    OutOfOrder {
        /// By how much.
        by_ns: u64,
    },
    /// It is a step of a valve that has not come in.
    #[error("out of order: a step of valve {job}/{valve}, which has no valve line before it")]
    UnknownValve {
        /// The job.
        job: JobName,
        /// The valve.
        valve: ValveName,
    },
    /// The trace stops before its end marker.
    #[error("the trace was cut short: it stops here without its end marker")]
    CutShort,
    /// The end marker counts other than there are.
    #[error("the end marker says that the trace has {said} lines: some are missing or were added")]
    Miscounted {
        /// What it says.
        said: u64,
    },
    /// Something comes after the end marker.
    #[error("something follows the end marker")]
    AfterEnd,
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A line of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number; the header is line 1.
    pub line: u64,
    /// What it says.
    pub event: Event,
}

/// Reads a trace line by line: an iterator over its [events](Event), the end marker included.
///
/// Whoever must not act on half a trace reads it to the end first, see [`Reader::all`]. After an error
/// nothing more comes.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    name: String,
    header: Header,
    line: u64,
    buffer: Vec<u8>,
    last: Moment,
    known: BTreeSet<(JobName, ValveName)>,
    ended: bool,
    done: bool,
}

impl Reader<BufReader<File>> {
    /// Opens the trace in a file. Fails if it cannot be read or has no header of this version.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(BufReader::with_capacity(1 << 16, file), name),
            Err(error) => Err(TraceError {
                name,
                line: 1,
                fault: error.into(),
            }),
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header of the trace in `from`, which errors will call `name`. Fails if there is none of
    /// this version.
    pub fn new(mut from: R, name: impl Into<String>) -> Result<Self, TraceError> {
        let name = name.into();
        let mut buffer = Vec::new();
        match header(&mut from, &mut buffer) {
            Ok(header) => Ok(Self {
                from,
                name,
                line: 1,
                buffer,
                last: header.at,
                header,
                known: BTreeSet::new(),
                ended: false,
                done: false,
            }),
            Err(fault) => Err(TraceError {
                name,
                line: 1,
                fault,
            }),
        }
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What errors call the trace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it, or the first error.
    pub fn all(self) -> Result<(Header, Vec<Entry>), TraceError> {
        let header = self.header.clone();
        Ok((header, self.collect::<Result<_, _>>()?))
    }

    fn step(&mut self) -> Result<Option<Event>, Fault> {
        self.line += 1;
        if !line(&mut self.from, &mut self.buffer)? {
            if self.ended {
                return Ok(None);
            }
            // The last line that is there, not the one that is not.
            self.line -= 1;
            return Err(Fault::CutShort);
        }
        if self.ended {
            return Err(Fault::AfterEnd);
        }
        let Some(text) = self.buffer.strip_suffix(b"\n") else {
            return Err(Fault::CutShort);
        };
        let event: Event =
            serde_json::from_slice(text).map_err(|error| Fault::Malformed(explain(&error)))?;
        let at = event.at();
        if at < self.last {
            let by = self.last.since(at).as_nanos();
            return Err(Fault::OutOfOrder {
                by_ns: u64::try_from(by).unwrap_or(u64::MAX),
            });
        }
        self.last = at;
        match &event {
            Event::Valve(joined) => {
                self.known
                    .insert((joined.job.clone(), joined.valve.clone()));
            }
            Event::Step(step) => {
                let key = (step.job.clone(), step.valve.clone());
                if !self.known.contains(&key) {
                    let (job, valve) = key;
                    return Err(Fault::UnknownValve { job, valve });
                }
            }
            Event::Policy(change) => usable(&change.policy)?,
            Event::Gap(_) => self.known.clear(),
            Event::End(end) => {
                if end.lines != self.line {
                    return Err(Fault::Miscounted { said: end.lines });
                }
                self.ended = true;
            }
        }
        Ok(Some(event))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.step() {
            Ok(Some(event)) => Some(Ok(Entry {
                line: self.line,
                event,
            })),
            Ok(None) => {
                self.done = true;
                None
            }
            Err(fault) => {
                self.done = true;
                Some(Err(TraceError {
                    name: self.name.clone(),
                    line: self.line,
                    fault,
                }))
            }
        }
    }
}

/// Reads a line with its line break. False at the end of the input.
fn line(from: &mut impl BufRead, buffer: &mut Vec<u8>) -> Result<bool, Fault> {
    buffer.clear();
    let read = from.take(MAX_LINE).read_until(b'\n', buffer)?;
    if read as u64 == MAX_LINE && buffer.last() != Some(&b'\n') {
        return Err(Fault::Malformed(format!(
            "it is longer than {MAX_LINE} bytes"
        )));
    }
    Ok(read > 0)
}

fn header(from: &mut impl BufRead, buffer: &mut Vec<u8>) -> Result<Header, Fault> {
    #[derive(serde::Deserialize)]
    struct Version {
        spillway_trace: u64,
    }

    if !line(from, buffer)? {
        return Err(Fault::NoTrace("it is empty".into()));
    }
    // The version first: what else is in the header of another version is not known.
    let version: Version =
        serde_json::from_slice(buffer).map_err(|error| Fault::NoTrace(explain(&error)))?;
    if version.spillway_trace != u64::from(VERSION) {
        return Err(Fault::OtherVersion {
            found: version.spillway_trace,
        });
    }
    let header: Header =
        serde_json::from_slice(buffer).map_err(|error| Fault::Malformed(explain(&error)))?;
    usable(&header.policy)?;
    Ok(header)
}

fn usable(policy: &Policy) -> Result<(), Fault> {
    let problems = policy.problems();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Fault::Malformed(problems.join("; ")))
    }
}

/// What is wrong, and in which column. To the parser every line is line 1, which would confuse here.
fn explain(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    match text.split_once(" at line 1 column ") {
        Some((what, _)) => format!("{what} (column {column})"),
        None => text,
    }
}
