//! Scenario files: a job, a load, a policy, and what is expected of them.
//!
//! TOML. Unknown keys are refused with their line, and so is a value that cannot be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use toml::Spanned;

use super::curve::Curve;
use super::days::{Swing, day, spike_phases, swung};
use super::expect::Expect;
use super::model::{Model, Span, count, positive, share};
use super::outcome::{Outcome, Phase};
use super::setup::{Load, Restart, Setup};
use crate::config::{Divert, Lambda, fault_line, key_line, line_of};
use crate::decide::Policy;

/// A scenario, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// For people.
    pub name: String,
    /// What it is about, in one sentence.
    pub about: String,
    /// Job and cloud.
    pub model: Model,
    /// What arrives.
    pub load: Load,
    /// The controller's thresholds.
    pub policy: Policy,
    /// The sidecar's limits.
    pub divert: Divert,
    /// The cloud's prices.
    pub prices: Lambda,
    /// Restarts, in order.
    pub restarts: Vec<Restart>,
    /// What is looked at by itself.
    pub phases: Vec<Phase>,
    /// What is expected.
    pub expect: Expect,
    /// Where chance comes from.
    pub seed: u64,
}

/// Why a file is no scenario: one line with the file, the line in it and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(pub(super) String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    about: String,
    #[serde(default = "one")]
    seed: u64,
    load: LoadFile,
    #[serde(default)]
    lane: super::model::Lane,
    #[serde(default)]
    valve: super::model::Valve,
    #[serde(default)]
    cloud: super::model::Cloud,
    #[serde(default)]
    sensor: super::model::Sensor,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    divert: Divert,
    #[serde(default)]
    lambda: Lambda,
    #[serde(default)]
    restart: Vec<Spanned<RestartFile>>,
    #[serde(default)]
    phases: BTreeMap<String, Span>,
    #[serde(default)]
    expect: Expect,
}

fn one() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadFile {
    /// Records per second over time.
    profile: Option<Curve>,
    /// A file of rows `minute,requests` beside the scenario, and how to take it.
    csv: Option<PathBuf>,
    /// Records per second for each request a second.
    #[serde(default, deserialize_with = "some_positive")]
    scale: Option<f64>,
    /// How many times faster than it was recorded.
    #[serde(default, deserialize_with = "some_positive")]
    speedup: Option<f64>,
    /// Rises and falls on top of it.
    swing: Option<Swing>,
    /// Each subtask's part; what is missing is split evenly.
    #[serde(default, deserialize_with = "shares")]
    shares: Vec<f64>,
    /// Standard deviation from one hundredth of a second to the next.
    #[serde(default, deserialize_with = "share")]
    jitter: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartFile {
    #[serde(with = "humantime_serde")]
    at: Duration,
    #[serde(with = "humantime_serde")]
    down: Duration,
    #[serde(default, deserialize_with = "some_count")]
    subtasks: Option<u32>,
    #[serde(default, deserialize_with = "some_count")]
    workers: Option<u32>,
    #[serde(default, deserialize_with = "some_positive")]
    capacity: Option<f64>,
}

fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    count(deserializer).map(Some)
}

fn some_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    positive(deserializer).map(Some)
}

fn shares<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let shares = Vec::<f64>::deserialize(deserializer)?;
    let good = shares.iter().all(|share| (0.0..=1.0).contains(share));
    if good && shares.iter().sum::<f64>() <= 1.0 + 1e-9 {
        Ok(shares)
    } else {
        Err(D::Error::custom(
            "shares are 0 to 1, and 1 at most together",
        ))
    }
}

impl Scenario {
    /// The built-in job and cloud with hardly a load.
    pub fn plain(name: String) -> Self {
        Self {
            name,
            about: String::new(),
            model: Model::default(),
            load: Load {
                rate: Curve::constant(0.0),
                shares: Vec::new(),
                jitter: 0.0,
            },
            policy: Policy::default(),
            divert: Divert::default(),
            prices: Lambda::default(),
            restarts: Vec::new(),
            phases: Vec::new(),
            expect: Expect::default(),
            seed: 1,
        }
    }

    /// Reads a scenario from a file; a CSV that it names is looked for beside it.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError(format!("cannot read {}: {error}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, &path.display().to_string(), |csv| {
            let path = folder.join(csv);
            std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))
        })
    }

    /// Reads a scenario from its text. `name` is what errors call it, `read` gives the text of a CSV.
    pub fn parse(
        text: &str,
        name: &str,
        read: impl Fn(&Path) -> Result<String, String>,
    ) -> Result<Self, ScenarioError> {
        let at = |line: Option<usize>, what: &str| {
            let line = line.map_or_else(String::new, |line| format!(" line {line}"));
            ScenarioError(format!("{name}{line}: {what}"))
        };
        let file: File = toml::from_str(text).map_err(|error| {
            at(
                error.span().map(|span| line_of(text, span.start)),
                error.message(),
            )
        })?;
        let mut problems = file.policy.problems();
        problems.extend(file.lambda.problems());
        problems.extend(file.divert.problems());
        if !problems.is_empty() {
            let place = problems
                .first()
                .and_then(|problem| fault_line(text, problem));
            return Err(at(place, &problems.join("; ")));
        }
        let load_at = |what: &str| at(find(text, "[load]"), what);
        let mut rate = match (&file.load.profile, &file.load.csv) {
            (Some(profile), None) => {
                let given = [
                    ("load.scale", file.load.scale),
                    ("load.speedup", file.load.speedup),
                ];
                if let Some((key, _)) = given.iter().find(|(_, value)| value.is_some()) {
                    let what = format!(
                        "{key} is for load.csv: load.profile has its rates and times itself"
                    );
                    return Err(at(key_line(text, key), &what));
                }
                profile.clone()
            }
            (None, Some(csv)) => {
                let rows = read(csv).map_err(|error| load_at(&error))?;
                let (scale, speedup) = (file.load.scale, file.load.speedup);
                day(&rows, scale.unwrap_or(1.0), speedup.unwrap_or(1.0))
                    .map_err(|error| load_at(&format!("{}: {error}", csv.display())))?
            }
            _ => return Err(load_at("give either load.profile or load.csv")),
        };
        if let Some(swing) = &file.load.swing {
            rate = swung(&rate, swing).map_err(|error| load_at(&error))?;
        }
        if rate.records(0, rate.duration_ms()) < 1.0 {
            return Err(load_at("there is no record in this load"));
        }
        let phases = if file.phases.is_empty() {
            spike_phases(&rate)
        } else {
            let named = file.phases.into_iter();
            named
                .map(|(name, span)| Phase {
                    name,
                    start_ms: span.start_ms,
                    end_ms: span.end_ms,
                })
                .collect()
        };
        file.expect
            .check_names(&phases)
            .map_err(|error| at(find(text, "[expect"), &error))?;
        let restarts = restarts(file.restart, rate.duration_ms())
            .map_err(|(byte, what)| at(Some(line_of(text, byte)), &what))?;
        check_shares(&file.load.shares, file.lane.subtasks, &restarts)
            .map_err(|error| at(key_line(text, "load.shares"), &error))?;
        Ok(Self {
            name: file.name,
            about: file.about,
            model: Model {
                lane: file.lane,
                valve: file.valve,
                cloud: file.cloud,
                sensor: file.sensor,
            },
            load: Load {
                rate,
                shares: file.load.shares,
                jitter: file.load.jitter,
            },
            policy: file.policy,
            divert: file.divert,
            prices: file.lambda,
            restarts,
            phases,
            expect: file.expect,
            seed: file.seed,
        })
    }

    /// Runs it.
    pub fn run(&self, timeline: bool) -> Outcome {
        super::engine::run(&Setup {
            model: &self.model,
            load: &self.load,
            policy: &self.policy,
            divert: &self.divert,
            prices: &self.prices,
            restarts: &self.restarts,
            phases: &self.phases,
            seed: self.seed,
            timeline,
        })
    }
}

/// The restarts in the order of time. What is wrong comes with the byte where the one stands that it is about.
fn restarts(
    found: Vec<Spanned<RestartFile>>,
    end_ms: u64,
) -> Result<Vec<Restart>, (usize, String)> {
    let whole_ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut restarts: Vec<(usize, Restart)> = found
        .into_iter()
        .map(|spanned| {
            let byte = spanned.span().start;
            let file = spanned.into_inner();
            let restart = Restart {
                at_ms: whole_ms(file.at),
                down_ms: whole_ms(file.down),
                subtasks: file.subtasks,
                workers: file.workers,
                capacity: file.capacity,
            };
            (byte, restart)
        })
        .collect();
    restarts.sort_by_key(|(_, restart)| restart.at_ms);
    let mut back_ms = 0;
    for (index, (byte, restart)) in restarts.iter().enumerate() {
        if restart.at_ms >= end_ms {
            let what = format!(
                "a restart at {} ms: the load lasts {end_ms} ms",
                restart.at_ms
            );
            return Err((*byte, what));
        }
        if index > 0 && restart.at_ms < back_ms {
            let what = format!(
                "a restart at {} ms: from the one before the job is back at {back_ms} ms",
                restart.at_ms
            );
            return Err((*byte, what));
        }
        // Two at the same moment are one too many.
        back_ms = restart.at_ms.saturating_add(restart.down_ms.max(1));
    }
    Ok(restarts.into_iter().map(|(_, restart)| restart).collect())
}

/// An error if there are more shares than ever subtasks, or if at some time those that there are get none of the load.
fn check_shares(shares: &[f64], subtasks: u32, restarts: &[Restart]) -> Result<(), String> {
    let later = restarts.iter().filter_map(|restart| restart.subtasks);
    let sizes: Vec<usize> = std::iter::once(subtasks)
        .chain(later)
        .map(|size| size as usize)
        .collect();
    let most = sizes.iter().copied().max().unwrap_or_default();
    if shares.len() > most {
        return Err(format!(
            "there are {} shares, but at most {most} subtasks",
            shares.len()
        ));
    }
    for size in sizes {
        let given = shares.get(..size);
        if given.is_some_and(|given| given.iter().sum::<f64>() <= 0.0) {
            return Err(format!(
                "the shares leave the job's {size} subtasks without any load"
            ));
        }
    }
    Ok(())
}

/// The line where `what` stands first.
fn find(text: &str, what: &str) -> Option<usize> {
    text.find(what).map(|byte| line_of(text, byte))
}
