//! `spillway tune`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Arg, ArgMatches, Command};

use super::Subcommand;
use super::found::{as_json, as_text, chart, refusal};
use super::output::{self, Format};
use super::simulate::{check_plot, plot_argument, policy, policy_argument, scenario};
use crate::decide::Policy;
use crate::failure::{ExitCode, Failure};
use crate::plot;
use crate::sim::{Load, Scenario, day};
use crate::tune::{Objective, Search};

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

fn command() -> Command {
    let command = Command::new("tune")
        .about("Search, by simulation, for the cheapest policy that meets an objective")
        .after_help(
            "The load is that of a recorded trace (spillway record), of a scenario (.toml), or of a CSV of rows \
             minute,requests, whose minutes follow on each other. Objectives: p50, p90, p99, p99.9 or max < TIME, cost < $AMOUNT/h, diverted < SHARE%, \
             joined by a comma or by `and`. Latencies are those of all records, whichever lane they took. \
             Recommended is the cheapest policy that undercuts each bound by the margin where it was searched, and \
             meets the objective on the part that was held out. Exits with 0 if there is one; if none that was tried \
             will do, says which came nearest, writes no policy and exits with 1.",
        )
        .arg(
            Arg::new("trace")
                .long("trace")
                .value_name("FILE")
                .env("SPILLWAY_TUNE_TRACE")
                .required(true)
                .value_parser(clap::value_parser!(PathBuf))
                .help("The load to tune for"),
        )
        .arg(
            Arg::new("objective")
                .long("objective")
                .value_name("OBJECTIVE")
                .env("SPILLWAY_TUNE_OBJECTIVE")
                .required(true)
                .help("What to achieve, such as 'p99<300ms, cost<$1/h'"),
        )
        .arg(
            Arg::new("model")
                .long("model")
                .value_name("SCENARIO")
                .env("SPILLWAY_TUNE_MODEL")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Scenario whose job, cloud and prices are taken where a trace or a CSV does not tell"),
        )
        .arg(share_argument("holdout", "SPILLWAY_TUNE_HOLDOUT", "0.3", "Share of the load, at its end, that is not searched on, and on which the policy has to meet the objective too"))
        .arg(share_argument("margin", "SPILLWAY_TUNE_MARGIN", "0.2", "By what share each bound has to be undercut where it is searched"))
        .arg(
            Arg::new("evaluations")
                .long("evaluations")
                .value_name("COUNT")
                .env("SPILLWAY_TUNE_EVALUATIONS")
                .default_value("160")
                .value_parser(clap::value_parser!(u32).range(16..=10_000))
                .help("Policies to try"),
        )
        .arg(policy_argument("SPILLWAY_TUNE_POLICY"))
        .arg(
            Arg::new("out-policy")
                .long("out-policy")
                .value_name("FILE")
                .env("SPILLWAY_TUNE_OUT_POLICY")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Write the recommended policy here, as the [policy] of a sidecar configuration"),
        )
        .arg(plot_argument("SPILLWAY_TUNE_PLOT", "Draw the Pareto front and the recommended policy's run"));
    output::add(command)
}

fn share_argument(
    name: &'static str,
    variable: &'static str,
    default: &'static str,
    help: &'static str,
) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("SHARE")
        .env(variable)
        .default_value(default)
        .value_parser(|text: &str| match text.parse::<f64>() {
            Ok(share) if (0.0..=0.9).contains(&share) => Ok(share),
            _ => Err("give a share from 0 to 0.9"),
        })
        .help(help)
}

/// A load with the job that carries it, and where that is from.
struct Source {
    scenario: Scenario,
    notes: Vec<String>,
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let file = matches.get_one::<PathBuf>("plot");
    check_plot(file)?;
    let text = matches
        .get_one::<String>("objective")
        .map_or("", String::as_str);
    let objective: Objective = text.parse().map_err(|error: crate::tune::ObjectiveError| {
        Failure::new(ExitCode::Usage, error.to_string())
    })?;
    let path = matches
        .get_one::<PathBuf>("trace")
        .cloned()
        .unwrap_or_default();
    let mut source = source(
        &path,
        matches.get_one::<PathBuf>("model").map(PathBuf::as_path),
    )?;
    if let Some(policy) = policy(matches.get_one("policy"))? {
        source.scenario.policy = policy;
    }
    let number_of = |name: &str| matches.get_one::<f64>(name).copied().unwrap_or_default();
    let search = Search {
        scenario: source.scenario,
        objective,
        holdout: number_of("holdout"),
        margin: number_of("margin"),
        evaluations: matches
            .get_one::<u32>("evaluations")
            .map_or(160, |count| *count as usize),
    };
    if let Some(problem) = search.problem() {
        let message = format!("{}: {problem}: give another --holdout", path.display());
        return Err(Failure::new(ExitCode::Data, message));
    }
    let started = Instant::now();
    let found = search.run();
    let took = started.elapsed();

    if let Some(file) = file {
        plot::write(&chart(&search, &found), file)
            .map_err(|error| Failure::new(ExitCode::CannotCreate, error.to_string()))?;
    }
    if let (Some(file), Some(best)) = (matches.get_one::<PathBuf>("out-policy"), &found.best) {
        write_policy(file, &best.policy, &search.objective)?;
    }
    let mut notes = source.notes;
    notes.push(format!(
        "{} policies tried in {:.1} s",
        found.tried.len(),
        took.as_secs_f64()
    ));
    let json = output::format(matches) == Format::Json;
    output::print(&if json {
        as_json(&search, &found, &notes)
    } else {
        as_text(&search, &found, &notes)
    })?;
    if found.best.is_some() {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Different, refusal(&search, &found)))
}

/// The load in `path`, and the job that goes with it.
fn source(path: &Path, model: Option<&Path>) -> Result<Source, Failure> {
    let kind = path.extension().and_then(|extension| extension.to_str());
    if kind == Some("toml") {
        if let Some(model) = model {
            let message = format!(
                "--model {} goes with a trace or a CSV: the scenario {} has a job and a cloud of its own",
                model.display(),
                path.display()
            );
            return Err(Failure::new(ExitCode::Usage, message));
        }
        return Ok(Source {
            scenario: scenario(path)?,
            notes: vec![format!("load and job of the scenario {}", path.display())],
        });
    }
    let mut template = match model {
        Some(model) => scenario(model)?,
        None => Scenario::plain(path.display().to_string()),
    };
    if kind == Some("csv") {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(
                ExitCode::NoInput,
                format!("cannot read {}: {error}", path.display()),
            )
        })?;
        let rate = day(&text, 1.0, 1.0).map_err(|error| {
            Failure::new(ExitCode::Data, format!("{}: {error}", path.display()))
        })?;
        template.load = Load {
            rate,
            shares: template.load.shares,
            jitter: template.load.jitter,
        };
        template.restarts.clear();
        return Ok(Source {
            notes: vec![format!(
                "load of {}; job and cloud {}",
                path.display(),
                model.map_or("are the built-in ones".into(), |model| format!(
                    "of {}",
                    model.display()
                ))
            )],
            scenario: template,
        });
    }
    super::traced::source(path, template).map(|(scenario, notes)| Source { scenario, notes })
}

fn write_policy(file: &Path, policy: &Policy, objective: &Objective) -> Result<(), Failure> {
    let failed = |error: String| {
        Failure::new(
            ExitCode::CannotCreate,
            format!("cannot write {}: {error}", file.display()),
        )
    };
    let body = toml::to_string(policy).map_err(|error| failed(error.to_string()))?;
    let text = format!("# Found by `spillway tune` for {objective}\n[policy]\n{body}");
    std::fs::write(file, text).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::cli::main;
    use crate::failure::ExitCode;

    fn run(arguments: &[&str]) -> (ExitCode, String) {
        let words = ["spillway", "tune"].iter().chain(arguments);
        let failure = main(words.map(Into::into)).unwrap_err();
        (failure.code, failure.message)
    }

    #[test]
    fn an_objective_that_does_not_parse_is_refused_before_anything_is_read() {
        let (code, message) = run(&["--trace", "/nowhere.toml", "--objective", "p99<fast"]);
        assert_eq!(code, ExitCode::Usage);
        assert!(message.contains("column 5"), "{message}");
    }

    #[test]
    fn a_trace_that_is_not_there_or_is_none_is_refused() {
        let (code, message) = run(&["--trace", "/nowhere.trace", "--objective", "p99<1s"]);
        assert_eq!(code, ExitCode::NoInput, "{message}");
        assert!(message.contains("/nowhere.trace"), "{message}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.trace");
        std::fs::write(&path, "{\"spillway_trace\": 99}\n").unwrap();
        let (code, message) = run(&["--trace", path.to_str().unwrap(), "--objective", "p99<1s"]);
        assert_eq!(code, ExitCode::Data, "{message}");

        let path = folder.path().join("day.csv");
        std::fs::write(&path, "minute,requests\n0,-1\n").unwrap();
        let (code, message) = run(&["--trace", path.to_str().unwrap(), "--objective", "p99<1s"]);
        assert_eq!(code, ExitCode::Data);
        assert!(message.contains("line 2"), "{message}");

        std::fs::write(&path, "minute,requests\n").unwrap();
        let (code, message) = run(&["--trace", path.to_str().unwrap(), "--objective", "p99<1s"]);
        assert_eq!(code, ExitCode::Data);
        assert!(
            message.contains("day.csv: there is no row minute,requests"),
            "{message}"
        );

        std::fs::write(&path, "0,600\n1,0\n").unwrap();
        let (code, message) = run(&[
            "--trace",
            path.to_str().unwrap(),
            "--objective",
            "p99<1s",
            "--holdout",
            "0.5",
        ]);
        assert_eq!(code, ExitCode::Data);
        assert!(message.contains("held out"), "{message}");
    }

    #[test]
    fn a_model_beside_a_scenario_is_refused() {
        let (code, message) = run(&[
            "--trace",
            "/nowhere.toml",
            "--model",
            "other.toml",
            "--objective",
            "p99<1s",
        ]);
        assert_eq!(code, ExitCode::Usage);
        assert!(
            message.contains("--model other.toml") && message.contains("/nowhere.toml"),
            "{message}"
        );
    }

    #[test]
    fn a_plot_in_no_known_format_is_refused() {
        let (code, message) = run(&[
            "--trace",
            "x.toml",
            "--objective",
            "p99<1s",
            "--plot",
            "x.gif",
        ]);
        assert_eq!(code, ExitCode::Usage);
        assert!(message.contains("x.gif"), "{message}");
    }
}
