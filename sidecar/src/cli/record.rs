//! `spillway record`: a trace of a running sidecar.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use http_body_util::BodyExt as _;

use super::remote::{self, Remote};
use super::{Subcommand, output, runtime};
use crate::decide::Moment;
use crate::failure::{ExitCode, Failure};
use crate::trace::{End, Event, Header, VERSION};

/// A longer line is none of a trace.
const MAX_LINE: usize = 64 * 1024 * 1024;

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

fn command() -> Command {
    let out = Arg::new("out")
        .long("out")
        .value_name("FILE")
        .env("SPILLWAY_RECORD_OUT")
        .required(true)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Where the trace goes; a file that is there is left alone");
    let duration = Arg::new("duration")
        .long("duration")
        .value_name("DURATION")
        .env("SPILLWAY_RECORD_DURATION")
        .value_parser(humantime::parse_duration)
        .help("How long to record; until Ctrl-C or SIGTERM if left out");
    let command = Command::new("record")
        .about("Record all that a running sidecar sees and decides, for `simulate` and `tune`");
    remote::add(command).args([out, duration])
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let remote = Remote::new(matches)?;
    let out = matches
        .get_one::<PathBuf>("out")
        .cloned()
        .unwrap_or_default();
    let duration = matches.get_one::<Duration>("duration").copied();
    runtime::block_on(record(remote, out, duration))
}

async fn record(remote: Remote, out: PathBuf, duration: Option<Duration>) -> Result<(), Failure> {
    let stopped = runtime::shutdown()?;
    let mut body = remote.stream("/v1/trace").await?;
    let file = File::create_new(&out).map_err(|error| cannot_create(&out, &error))?;
    let mut copy = Copy::new(BufWriter::new(file));
    let over = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(stopped, over);
    let broken = loop {
        tokio::select! {
            () = &mut stopped => break None,
            () = &mut over => break None,
            frame = body.frame() => match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        copy.take(&data, remote.url())?;
                    }
                }
                Some(Err(error)) => break Some(error.to_string()),
                None => break Some("it has stopped".into()),
            },
        }
    };
    let ended_by_sidecar = copy.ended;
    let (_, summary) = copy.finish().map_err(|error| cannot_write(&out, &error))?;
    let printed = output::print(&format!("{}: {summary}\n", out.display()));
    match broken {
        Some(why) if !ended_by_sidecar => Err(Failure::new(
            ExitCode::Unavailable,
            format!(
                "the sidecar at {} went away: {why}; what it did until then is in {}",
                remote.url(),
                out.display()
            ),
        )),
        _ => printed.map(drop),
    }
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AlreadyExists => "; choose another name, or remove it",
        _ => "",
    };
    let message = format!("cannot create {}: {error}{advice}", path.display());
    Failure::new(ExitCode::CannotCreate, message)
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot write {}: {error}", path.display());
    Failure::new(ExitCode::Io, message)
}

/// Copies the lines of a trace, and ends it when it is time.
struct Copy<W> {
    to: W,
    /// The line that is not whole yet.
    rest: Vec<u8>,
    lines: u64,
    steps: u64,
    missing: u64,
    at: Moment,
    wall_ms: i64,
    ended: bool,
}

impl<W: Write> Copy<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            rest: Vec::new(),
            lines: 0,
            steps: 0,
            missing: 0,
            at: Moment::default(),
            wall_ms: 0,
            ended: false,
        }
    }

    /// Takes in what has come, in pieces of any size, from the sidecar at `url`.
    fn take(&mut self, data: &[u8], url: &str) -> Result<(), Failure> {
        self.rest.extend_from_slice(data);
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n');
        let rest = self.rest.split_off(whole.map_or(0, |last| last + 1));
        let lines = std::mem::replace(&mut self.rest, rest);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.line(line, url)?;
        }
        if self.rest.len() > MAX_LINE {
            return Err(strange(url, "a line that is too long"));
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], url: &str) -> Result<(), Failure> {
        let error = |error: serde_json::Error| strange(url, &error.to_string());
        if self.lines == 0 {
            let header: Header = serde_json::from_slice(line).map_err(error)?;
            if header.spillway_trace != VERSION {
                let version = header.spillway_trace;
                return Err(strange(url, &format!("a trace of version {version}")));
            }
            (self.at, self.wall_ms) = (header.at, header.wall_ms);
        } else {
            let event: Event = serde_json::from_slice(line).map_err(error)?;
            self.at = event.at();
            match event {
                Event::Step(step) => {
                    self.steps += 1;
                    self.wall_ms = step.wall_ms;
                }
                Event::Policy(change) => self.wall_ms = change.wall_ms,
                Event::Gap(gap) => self.missing += gap.lines,
                Event::End(_) => self.ended = true,
                Event::Valve(_) => {}
            }
        }
        self.lines += 1;
        self.to
            .write_all(line)
            .map_err(|error| Failure::new(ExitCode::Io, format!("cannot write the trace: {error}")))
    }

    /// Ends the trace, unless the sidecar did, and says what is in it.
    fn finish(mut self) -> io::Result<(W, String)> {
        if !self.ended && self.lines > 0 {
            let end = Event::End(End {
                at: self.at,
                wall_ms: self.wall_ms,
                lines: self.lines + 1,
            });
            serde_json::to_writer(&mut self.to, &end)?;
            self.to.write_all(b"\n")?;
        }
        self.to.flush()?;
        let missing = match self.missing {
            0 => String::new(),
            missing => format!("; {missing} are missing, because recording could not keep up"),
        };
        let summary = format!("{} steps{missing}", self.steps);
        Ok((self.to, summary))
    }
}

fn strange(url: &str, what: &str) -> Failure {
    let message =
        format!("what answers at {url} sent {what}: is it a sidecar, and of this version?");
    Failure::new(ExitCode::Protocol, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Policy;
    use crate::trace::{Gap, Reader, Writer};

    fn stream() -> Vec<u8> {
        let header = Header::new(Moment::from(5), 7, Policy::default(), "test");
        let mut writer = Writer::new(Vec::new(), &header).unwrap();
        let gap = Gap {
            at: Moment::from(9),
            lines: 3,
        };
        writer.write(&Event::Gap(gap)).unwrap();
        std::mem::take(writer.get_mut())
    }

    #[test]
    fn a_trace_that_comes_in_pieces_and_stops_in_a_line_is_ended_properly() {
        let mut copy = Copy::new(Vec::new());
        for piece in stream().chunks(7) {
            copy.take(piece, "http://s").unwrap();
        }
        copy.take(br#"{"gap":{"at_ns":10,"#, "http://s").unwrap();
        let (whole, summary) = copy.finish().unwrap();
        assert_eq!(
            summary,
            "0 steps; 3 are missing, because recording could not keep up"
        );
        let (header, entries) = Reader::new(&whole[..], "t").unwrap().all().unwrap();
        assert_eq!((header.wall_ms, entries.len()), (7, 2));
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        let mut copy = Copy::new(Vec::new());
        let failure = copy.take(b"<html>\n", "http://s").unwrap_err();
        assert_eq!(failure.code, ExitCode::Protocol);
        assert!(failure.message.contains("http://s"), "{failure}");
    }
}
