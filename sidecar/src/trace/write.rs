//! Writes a trace.

use std::io::{self, Write};

use super::{End, Event, Header};
use crate::decide::Moment;

/// Writes lines to `W`. A trace that was not [ended](Writer::end) reads as cut short.
///
/// Each line goes out in one `write_all`; put a `BufWriter` beneath where that is too many.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    lines: u64,
    bytes: u64,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a trace with its header. Fails if the header cannot be written.
    pub fn new(to: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self {
            to,
            lines: 0,
            bytes: 0,
            line: Vec::new(),
        };
        writer.put(header)?;
        Ok(writer)
    }

    /// Adds a line. Events come in the order in which they happened, and the end goes through
    /// [`Writer::end`], which knows the number of lines. Fails if the line cannot be written; the trace is
    /// then broken.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        self.put(event)
    }

    /// Ends the trace and gives back what it was written to, flushed.
    pub fn end(mut self, at: Moment, wall_ms: i64) -> io::Result<W> {
        let end = End {
            at,
            wall_ms,
            lines: self.lines + 1,
        };
        self.put(&Event::End(end))?;
        self.to.flush()?;
        Ok(self.to)
    }

    /// How many bytes have been written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it writes to, to flush it.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.to
    }

    fn put(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.to.write_all(&self.line)?;
        self.lines += 1;
        self.bytes += self.line.len() as u64;
        Ok(())
    }
}
