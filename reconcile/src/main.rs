//! The command `spillway-reconcile`: parses the command line, opens the stores, reports.

mod cli;
mod output;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;
use cli::{Cli, Command, Common, Export, Gc, Run};
use output::OutFile;
use spillway_core::ids::BatchId;
use spillway_reconcile::budget::Budget;
use spillway_reconcile::error::{Error, ErrorKind};
use spillway_reconcile::export::export;
use spillway_reconcile::gc::Collect;
use spillway_reconcile::location::Location;
use spillway_reconcile::run::Reconcile;
use spillway_reconcile::store::{self, Store};
use spillway_reconcile::{grouped, size};

/// Something does not balance.
const UNBALANCED: u8 = 1;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let done = match cli.command {
        Command::Run(args) => run(&args),
        Command::Export(args) => export_csv(&args),
        Command::Gc(args) => gc(&args),
    };
    match done {
        Ok(code) => code,
        // Whoever read our output has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::ReaderGone => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spillway-reconcile: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Help goes to standard output in full; a mistake is one line.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion
    ) {
        // Nobody is left to tell if this fails.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line: Vec<&str> = paragraph.lines().map(str::trim).collect();
    let line = line.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    eprintln!("spillway-reconcile: {line} (see --help)");
    ExitCode::from(ErrorKind::Usage.exit_code())
}

fn open(common: &Common, location: &Location) -> Result<Box<dyn Store>, Error> {
    store::open(location, common.endpoint_url.as_deref())
}

fn budget(memory: usize) -> Budget {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Budget::new(memory, cores)
}

fn run(args: &Run) -> Result<ExitCode, Error> {
    // Before any work is done for nothing.
    let json = args.json.as_deref().map(OutFile::create).transpose()?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.common.location.join("final"));
    let reconcile = Reconcile {
        store: &*open(&args.common, &args.common.location)?,
        out: &*open(&args.common, &out)?,
        workload: args.workload,
        budget: budget(args.memory),
        temp_dir: &args.common.temp_dir,
    };
    let outcome = reconcile.run()?;
    if let Some(mut json) = json {
        json.write_json(&outcome.summary)?;
        json.finish()?;
    }
    // The exit code tells as much to someone who does not read this to its end.
    let _ = io::stdout().write_all(outcome.sheet.as_bytes());
    Ok(if outcome.summary.balanced {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(UNBALANCED)
    })
}

fn export_csv(args: &Export) -> Result<ExitCode, Error> {
    let from = args
        .from
        .clone()
        .unwrap_or_else(|| args.common.location.join("final"));
    let store = open(&args.common, &from)?;
    let temp_dir = &args.common.temp_dir;
    if let Some(path) = &args.out {
        let mut out = OutFile::create(path)?;
        export(&*store, temp_dir, &mut out)?;
        out.finish()?;
    } else {
        let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
        export(&*store, temp_dir, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn gc(args: &Gc) -> Result<ExitCode, Error> {
    let collect = Collect {
        store: &*open(&args.common, &args.common.location)?,
        grace: args.grace,
        now: SystemTime::now(),
        dry_run: args.dry_run,
        budget: budget(Budget::MIN_MEMORY_BYTES),
        temp_dir: &args.common.temp_dir,
    };
    let verb = if args.dry_run {
        "would remove"
    } else {
        "remove"
    };
    let mut out = io::stdout().lock();
    let failed = |error: io::Error| Error::io("cannot write to standard output", &error);
    let collected = collect.run(&mut |batch: &BatchId, bytes| {
        writeln!(out, "{verb} {batch} ({})", size(bytes)).map_err(failed)
    })?;
    writeln!(
        out,
        "{} orphans, {}, {}; {} too young to tell; {} partials have their receipt",
        grouped(collected.removed),
        size(collected.removed_bytes),
        if args.dry_run {
            "would be removed"
        } else {
            "removed"
        },
        grouped(collected.spared),
        grouped(collected.receipted)
    )
    .map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
