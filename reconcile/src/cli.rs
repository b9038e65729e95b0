//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use spillway_core::workload::{self, WorkloadKind};
use spillway_reconcile::budget::Budget;
use spillway_reconcile::location::Location;

/// Merge the local lane, the ledger and the partials of a Spillway job into its final result, and
/// prove that no record is lost or counted twice.
#[derive(Debug, Parser)]
#[command(name = "spillway-reconcile", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the result of all closed windows, and print the balance sheet
    ///
    /// Exits with 0 only if every window balances, and with 1 if one does not, or not yet.
    Run(Run),
    /// Write the result as CSV, sorted by window and key
    Export(Export),
    /// Remove partials that no committed receipt names
    Gc(Gc),
}

/// What all commands have in common.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The job's folder: `s3://bucket/prefix/job`, `file:///path` or a path
    #[arg(long, value_name = "LOCATION")]
    pub(crate) location: Location,
    /// Another S3 than AWS's own; buckets are then addressed by path. The environment's
    /// `AWS_ENDPOINT_URL_S3` does the same
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// Where temporary files go; they may take as much room as the input
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub(crate) temp_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where the result goes [default: the folder `final` at the job's location]
    #[arg(long, value_name = "LOCATION")]
    pub(crate) out: Option<Location>,
    /// Also write the balance as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// About how much memory to use, at least 64MiB; what does not fit goes through the temporary
    /// folder
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = memory)]
    pub(crate) memory: usize,
    /// What the job computes; needed only if there are no receipts to say it
    #[arg(long, value_name = "NAME", value_parser = known_workload)]
    pub(crate) workload: Option<WorkloadKind>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where the result is, if `run` was given `--out`
    #[arg(long, value_name = "LOCATION")]
    pub(crate) from: Option<Location>,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Spare partials that are younger, such as `30m` or `1h`. While the job has not ended, age is
    /// measured against the newest committed file of the ledger
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn known_workload(name: &str) -> Result<WorkloadKind, String> {
    workload::by_name(name).ok_or_else(|| {
        let known: Vec<_> = WorkloadKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("no such workload; known are {}", known.join(", "))
    })
}

/// A size such as `256MiB`, `1GiB`, `500MB` or a number of bytes.
fn memory(text: &str) -> Result<usize, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err("expected a size such as 256MiB".into()),
    };
    let bytes = number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    let bytes = bytes.ok_or("expected a size such as 256MiB")?;
    if bytes < Budget::MIN_MEMORY_BYTES {
        return Err("at least 64MiB are needed".into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_come_with_units() {
        assert_eq!(memory("256MiB"), Ok(256 << 20));
        assert_eq!(memory("1 GiB"), Ok(1 << 30));
        assert_eq!(memory("100MB"), Ok(100_000_000));
        assert_eq!(memory("134217728"), Ok(128 << 20));
        for bad in ["", "MiB", "1", "63MiB", "-1GiB", "1XB", "99999999999GiB"] {
            assert!(memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_grace_period_is_an_hour_unless_told_otherwise() {
        let parse = |args: &[&str]| match Cli::try_parse_from(args).map(|cli| cli.command) {
            Ok(Command::Gc(gc)) => gc,
            other => panic!("{other:?}"),
        };
        let gc = parse(&["x", "gc", "--location", "/tmp"]);
        assert_eq!((gc.grace, gc.dry_run), (Duration::from_hours(1), false));
        let gc = parse(&[
            "x",
            "gc",
            "--location",
            "/tmp",
            "--grace",
            "30m",
            "--dry-run",
        ]);
        assert_eq!((gc.grace, gc.dry_run), (Duration::from_mins(30), true));
    }
}
