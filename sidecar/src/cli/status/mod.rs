//! `spillway status`: how a running sidecar does, on one screen.

mod figures;
mod page;
mod screen;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use super::output::{self, Format};
use super::remote::{self, Remote};
use super::{Subcommand, runtime};
use crate::failure::{ExitCode, Failure, complain};
use page::Page;

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

/// Asking more often shows nothing more: valves report every 100 ms at most.
const SHORTEST: Duration = Duration::from_millis(100);
/// Moves to the upper left corner.
const HOME: &str = "\x1b[H";
/// Clears from here to the end of the line.
const CLEAR_LINE: &str = "\x1b[K";
/// Clears from here to the end of the screen.
const CLEAR_BELOW: &str = "\x1b[J";
/// Takes the terminal's other screen, and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Undoes that.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

fn command() -> Command {
    let watch = Arg::new("watch")
        .long("watch")
        .short('w')
        .value_name("INTERVAL")
        .env("SPILLWAY_WATCH")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("1s")
        .value_parser(interval)
        .help("Look again and again, every second or at this interval, until Ctrl-C");
    let status = Command::new("status")
        .about("Show how a running sidecar does, on one screen")
        .after_help(
            "Examples:\n  \
             spillway status --watch\n  \
             spillway status --watch=5s | tee status.log\n  \
             spillway status --output json | jq .mode",
        )
        .arg(watch);
    output::add(remote::add(status))
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < SHORTEST {
        return Err(format!("give at least {SHORTEST:?}"));
    }
    Ok(interval)
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let remote = Remote::new(matches)?;
    let format = output::format(matches);
    let watch = matches.get_one::<Duration>("watch").copied();
    runtime::block_on(async {
        let first = look(&remote).await?;
        match watch {
            None => output::print(&text(&first, &remote, format)).map(drop),
            Some(interval) if format == Format::Text && std::io::stdout().is_terminal() => {
                redraw(&remote, first, interval).await
            }
            Some(interval) => append(&remote, first, format, interval).await,
        }
    })
}

async fn look(remote: &Remote) -> Result<Value, Failure> {
    Ok(remote.get("/v1/status").await?.json)
}

/// The whole status, for a pipe, a file or a terminal that is not redrawn.
fn text(status: &Value, remote: &Remote, format: Format) -> String {
    match format {
        Format::Json => format!("{status:#}\n"),
        Format::Text => screen::page(status, remote.url()).text(output::colour(), None),
    }
}

/// Prints one status after the other: JSON a line each, text with an empty line between. A sidecar that
/// is away for a while is told of on the standard error, and waited for.
async fn append(
    remote: &Remote,
    first: Value,
    format: Format,
    interval: Duration,
) -> Result<(), Failure> {
    let mut due = Some(Ok(first));
    follow(remote, interval, move |looked| {
        match due.take().unwrap_or(looked) {
            Ok(status) if format == Format::Json => output::print(&format!("{status}\n")),
            Ok(status) => output::print(&(text(&status, remote, format) + "\n")),
            Err(failure) => {
                complain(&format!("spillway: {failure}\n"));
                Ok(true)
            }
        }
    })
    .await
}

/// Draws one status over the other. Every line is written over and cleared behind, and all at once, so
/// that nothing flickers.
async fn redraw(remote: &Remote, first: Value, interval: Duration) -> Result<(), Failure> {
    output::print(ENTER)?;
    let mut last = screen::page(&first, remote.url());
    let result = follow(remote, interval, |looked| {
        let trouble = match looked {
            Ok(status) => {
                last = screen::page(&status, remote.url());
                None
            }
            Err(failure) => Some(failure.message),
        };
        output::print(&frame(&last, trouble.as_deref(), size()))
    })
    .await;
    output::print(LEAVE)?;
    result
}

/// Looks at every interval and shows what was seen, until Ctrl-C or until nobody reads any more.
async fn follow(
    remote: &Remote,
    interval: Duration,
    mut show: impl FnMut(Result<Value, Failure>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let watching = async {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match look(remote).await {
                // It will not become better by waiting.
                Err(failure) if failure.code != ExitCode::Unavailable => return Err(failure),
                looked => {
                    if !show(looked)? {
                        return Ok(());
                    }
                }
            }
        }
    };
    tokio::select! {
        () = runtime::shutdown()? => Ok(()),
        ended = watching => ended,
    }
}

/// One frame of a terminal with `columns` and `rows`. What does not fit is cut off: a line that went on
/// in the next row would move all others.
fn frame(page: &Page, trouble: Option<&str>, (columns, rows): (usize, usize)) -> String {
    let mut page = page.clone();
    if let Some(trouble) = trouble {
        page.trouble(trouble);
    }
    let text = page.text(output::colour(), Some(columns));
    let lines: Vec<_> = text.lines().take(rows.max(1)).collect();
    let body = lines.join(&format!("{CLEAR_LINE}\r\n"));
    format!("{HOME}{body}{CLEAR_LINE}{CLEAR_BELOW}")
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_terminal_and_clears_what_was_there() {
        let status = serde_json::json!({"mode": "burst", "reason": "a ".repeat(200)});
        let page = screen::page(&status, "http://127.0.0.1:7077");
        let frame = frame(&page, Some("cannot reach it"), (40, 5));
        assert!(frame.starts_with(HOME) && frame.ends_with(CLEAR_BELOW));
        let lines: Vec<_> = frame.split("\r\n").collect();
        assert_eq!(lines.len(), 5);
        for line in lines {
            let shown = line
                .replace(HOME, "")
                .replace(CLEAR_LINE, "")
                .replace(CLEAR_BELOW, "");
            assert!(
                line.contains(CLEAR_LINE) && shown.chars().count() <= 40,
                "{shown}"
            );
        }
    }

    #[test]
    fn an_interval_is_a_duration_of_at_least_100_ms() {
        assert_eq!(interval("2s"), Ok(Duration::from_secs(2)));
        assert!(interval("50ms").is_err() && interval("0s").is_err() && interval("2").is_err());
    }
}
