//! `spillway simulate`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::Subcommand;
use super::chart::timeline;
use super::output::{self, Format};
use super::simulated::{Ran, as_json, as_text, misses};
use crate::config::policy_in;
use crate::decide::Policy;
use crate::failure::{ExitCode, Failure};
use crate::plot;
use crate::sim::{Scenario, Second};

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

/// The environment twin of the scenario files.
const SCENARIO: &str = "SPILLWAY_SIMULATE_SCENARIO";

fn command() -> Command {
    let command = Command::new("simulate")
        .about("Run scenarios on a simulated job, with the controller that steers real ones")
        .after_help("Exits with 0 if every number is in the range that its scenario expects, with 1 if one is not.")
        .arg(
            Arg::new("scenario")
                .value_name("SCENARIO")
                .value_parser(clap::value_parser!(PathBuf))
                .env(SCENARIO)
                .required(true)
                .num_args(1..)
                .help("Scenario files (TOML); in the environment separated by commas"),
        )
        .arg(policy_argument("SPILLWAY_SIMULATE_POLICY"))
        .arg(
            Arg::new("calibrate")
                .long("calibrate")
                .value_name("TRACE")
                .env("SPILLWAY_SIMULATE_CALIBRATE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Fit what the local lane's records cost to this recorded trace"),
        )
        .arg(plot_argument(
            "SPILLWAY_SIMULATE_PLOT",
            "Draw the run of a single scenario",
        ))
        .arg(
            Arg::new("measured")
                .long("measured")
                .value_name("REPORT")
                .env("SPILLWAY_SIMULATE_MEASURED")
                .requires("plot")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Draw the timeline of this report of the demo (report.json) beside it"),
        );
    output::add(command)
}

pub(super) fn policy_argument(variable: &'static str) -> Arg {
    Arg::new("policy")
        .long("policy")
        .value_name("FILE")
        .env(variable)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Take the [policy] of this sidecar configuration, not the file's own")
}

pub(super) fn plot_argument(variable: &'static str, help: &'static str) -> Arg {
    Arg::new("plot")
        .long("plot")
        .value_name("FILE.svg|FILE.png")
        .env(variable)
        .value_parser(clap::value_parser!(PathBuf))
        .help(help)
}

/// The policy of a sidecar's configuration.
pub(super) fn policy(path: Option<&PathBuf>) -> Result<Option<Policy>, Failure> {
    path.map(|path| policy_in(path)).transpose()
}

/// The files of the argument `scenario`. Those of its `variable` are separated by commas; on the command line a comma
/// is part of a name.
pub(super) fn scenario_files(
    matches: &ArgMatches,
    variable: &str,
) -> Result<Vec<PathBuf>, Failure> {
    let given = matches
        .get_many::<PathBuf>("scenario")
        .unwrap_or_default()
        .cloned();
    if matches.value_source("scenario") != Some(ValueSource::EnvVariable) {
        return Ok(given.collect());
    }
    let mut paths = Vec::new();
    for list in given {
        for name in list.as_os_str().as_bytes().split(|byte| *byte == b',') {
            let name = name.trim_ascii();
            if name.is_empty() {
                let message =
                    format!("{variable} has a comma too many: give files, separated by commas");
                return Err(Failure::new(ExitCode::Usage, message));
            }
            paths.push(PathBuf::from(OsStr::from_bytes(name)));
        }
    }
    Ok(paths)
}

/// Reads a scenario.
pub(super) fn scenario(path: &Path) -> Result<Scenario, Failure> {
    Scenario::read(path).map_err(|error| {
        let code = if path.exists() {
            ExitCode::Config
        } else {
            ExitCode::NoInput
        };
        Failure::new(code, error.to_string())
    })
}

pub(super) fn check_plot(path: Option<&PathBuf>) -> Result<(), Failure> {
    path.map_or(Ok(()), |path| plot::check_name(path))
        .map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))
}

/// The timeline of a demo's report.
fn measured(path: &Path) -> Result<Vec<Second>, Failure> {
    #[derive(serde::Deserialize)]
    struct Report {
        timeline: Vec<Second>,
    }
    let failed = |code, error: String| {
        Failure::new(code, format!("cannot read {}: {error}", path.display()))
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed(ExitCode::NoInput, error.to_string()))?;
    let report: Report =
        serde_json::from_str(&text).map_err(|error| failed(ExitCode::Data, error.to_string()))?;
    Ok(report.timeline)
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let paths = scenario_files(matches, SCENARIO)?;
    let file = matches.get_one::<PathBuf>("plot");
    check_plot(file)?;
    if file.is_some() && paths.len() > 1 {
        return Err(Failure::new(
            ExitCode::Usage,
            "--plot draws one scenario: give only one",
        ));
    }
    let instead = policy(matches.get_one("policy"))?;
    let measured = matches
        .get_one::<PathBuf>("measured")
        .map(|path| measured(path))
        .transpose()?;
    let trace = matches.get_one::<PathBuf>("calibrate");
    // All are read before any is run: a mistake in the last one should not come after minutes.
    let mut scenarios = Vec::new();
    for path in paths {
        let mut read = scenario(&path)?;
        if let Some(trace) = trace {
            let (fitted, notes) = super::traced::source(trace, read.clone())?;
            read.model.lane = fitted.model.lane;
            read.about = format!("{} Calibrated: {}.", read.about, notes.join("; "));
        }
        if let Some(policy) = &instead {
            read.policy = policy.clone();
        }
        scenarios.push(read);
    }
    let mut runs = Vec::new();
    for scenario in scenarios {
        let started = Instant::now();
        let outcome = scenario.run(true);
        runs.push(Ran {
            took: started.elapsed(),
            checks: scenario.expect.check(&outcome),
            outcome,
            scenario,
        });
    }
    if let (Some(file), Some(ran)) = (file, runs.first()) {
        let measured = measured.as_deref().unwrap_or_default();
        let chart = timeline(&ran.scenario.name, &ran.outcome.timeline, measured);
        plot::write(&chart, file)
            .map_err(|error| Failure::new(ExitCode::CannotCreate, error.to_string()))?;
    }
    let text = if output::format(matches) == Format::Json {
        let all: Vec<serde_json::Value> = runs.iter().map(as_json).collect();
        format!("{:#}\n", json!({ "scenarios": all }))
    } else {
        runs.iter().map(as_text).collect::<Vec<_>>().join("\n")
    };
    output::print(&text)?;
    let missed: Vec<String> = runs
        .iter()
        .flat_map(|ran| misses(&ran.scenario, &ran.checks))
        .collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(ExitCode::Different, missed.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::main;

    const SCENARIO: &str =
        "name = \"short\"\nabout = \"Short.\"\n[load]\nprofile = \"20k:2s\"\n[expect]\n";

    fn run(text: &str, more: &[&str]) -> Result<(), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short.toml");
        std::fs::write(&path, text).unwrap();
        let words = ["spillway", "simulate", path.to_str().unwrap()];
        main(words.iter().chain(more).map(Into::into))
    }

    #[test]
    fn a_range_that_is_missed_is_named_and_exits_with_1() {
        run(&format!("{SCENARIO}diverted_share = [0, 0]"), &[]).unwrap();
        let failure = run(&format!("{SCENARIO}diverted_share = [0.5, 1]"), &[]).unwrap_err();
        assert_eq!(failure.code, ExitCode::Different);
        assert_eq!(
            failure.message,
            "short: diverted_share is 0, expected 0.5 to 1"
        );
    }

    #[test]
    fn only_the_policy_of_a_sidecar_s_configuration_has_to_be_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spillway.toml");
        let simulated_with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let scenario = format!("{SCENARIO}diverted_share = [0, 0]");
            run(&scenario, &["--policy", path.to_str().unwrap()])
        };
        // Its token and its job come from the environment, where it runs.
        let partial =
            "listen = \"0.0.0.0:7077\"\ntoken_file = \"/nowhere/token\"\n[flink]\n[policy]\n";
        simulated_with(&format!("{partial}lease = \"3s\"\n")).unwrap();
        let failure = simulated_with(&format!("{partial}lease = \"3h\"\n")).unwrap_err();
        assert_eq!(failure.code, ExitCode::Config);
        assert!(
            failure
                .message
                .contains("spillway.toml line 5: policy.lease"),
            "{failure}"
        );
    }

    #[test]
    fn a_scenario_with_a_mistake_is_refused_with_its_line() {
        let failure = run(
            &format!("{SCENARIO}latency = [0, 1]"),
            &["--output", "json"],
        )
        .unwrap_err();
        assert_eq!(failure.code, ExitCode::Config);
        assert!(
            failure
                .message
                .contains("short.toml line 6: unknown field `latency`"),
            "{failure}"
        );
        let missing = main(["spillway", "simulate", "/nowhere.toml"].map(Into::into)).unwrap_err();
        assert_eq!(missing.code, ExitCode::NoInput);
    }
}
