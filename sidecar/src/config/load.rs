//! Puts file, environment and flags together.

use std::path::Path;

use serde::Deserialize as _;
use toml::{Table, Value};

use super::environment::{PREFIX, is_known};
use super::keys::{KEYS, Key, Kind};
use super::lines::{faulted, key_line, line_of};
use super::{Config, Secret};
use crate::decide::Policy;
use crate::failure::{ExitCode, Failure};

/// A value that was set outside the file.
#[derive(Debug, Clone)]
pub struct Override {
    /// What is set.
    pub key: &'static Key,
    /// As it was written.
    pub value: String,
    /// Where, for people: `--listen`, `SPILLWAY_LISTEN`.
    pub origin: String,
}

/// The configuration from `file`, with `environment` over it and `flags` over that.
///
/// A variable `SPILLWAY_*` that is nobody's is refused: it is most likely a key's, misspelt. So those that
/// something else has read are to be left out of `environment`.
///
/// Fails with one line that names the place and what to do.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Override>,
) -> Result<Config, Failure> {
    let file = match file {
        Some(path) => File::read(path)?,
        None => File::default(),
    };
    let overrides = overrides(environment, flags)?;
    let mut config = assembled(&file, &overrides)?;
    if let Some(path) = &config.token_file {
        config.token = Some(Secret::new(token_in(path)?));
    }
    file.usable(&config.problems(), &overrides)?;
    Ok(config)
}

/// The configuration that a file with this text would make, with `environment` over it. No file is read,
/// not even that of the token.
pub fn from_text(
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Failure> {
    let file = File::parse(text.to_owned(), "the configuration".into())?;
    let overrides = overrides(environment, Vec::new())?;
    let config = assembled(&file, &overrides)?;
    file.usable(&config.problems(), &overrides)?;
    Ok(config)
}

/// What goes over the file, the strongest last.
fn overrides(
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Override>,
) -> Result<Vec<Override>, Failure> {
    let mut overrides = from_environment(environment)?;
    overrides.extend(flags);
    Ok(overrides)
}

fn assembled(file: &File, overrides: &[Override]) -> Result<Config, Failure> {
    let mut table = file.table.clone();
    for item in overrides {
        set(&mut table, item)?;
    }
    Config::deserialize(table).map_err(|error| {
        Failure::new(
            ExitCode::Config,
            format!("the configuration is incomplete: {}", error.message()),
        )
    })
}

/// A configuration's file, of which each key and value by itself is good. The default is that there is none.
#[derive(Default)]
struct File {
    /// What errors call it; empty if there is none.
    name: String,
    text: String,
    table: Table,
}

impl File {
    fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(read("configuration", path)?, path.display().to_string())
    }

    fn parse(text: String, name: String) -> Result<Self, Failure> {
        let located = |error: &toml::de::Error| {
            let line = error.span().map_or_else(String::new, |span| {
                format!(" line {}", line_of(&text, span.start))
            });
            let message = format!("{name}{line}: {}", error.message());
            Failure::new(ExitCode::Config, message)
        };
        let table: Table = toml::from_str(&text).map_err(|error| located(&error))?;
        // Parsed a second time as what it means, so that an unknown key or a wrong value is found with its
        // line. What is merely missing may still come from the environment.
        match toml::from_str::<Config>(&text) {
            Err(error) if !error.message().starts_with("missing field") => Err(located(&error)),
            _ => Ok(Self { name, text, table }),
        }
    }

    /// Fails if there are `problems`, each told with the places that set the keys it is about.
    fn usable(&self, problems: &[String], overrides: &[Override]) -> Result<(), Failure> {
        if problems.is_empty() {
            return Ok(());
        }
        let told: Vec<_> = problems
            .iter()
            .map(|problem| match self.places(problem, overrides) {
                places if places.is_empty() => problem.clone(),
                places => format!("{}: {problem}", places.join(" and ")),
            })
            .collect();
        Err(Failure::new(ExitCode::Config, told.join("; ")))
    }

    /// Where the keys are set that a problem finds fault with: variables, flags, lines of the file.
    fn places(&self, problem: &str, overrides: &[Override]) -> Vec<String> {
        let mut places: Vec<_> = faulted(problem)
            .filter_map(|key| {
                let over = overrides.iter().rfind(|item| item.key == key);
                over.map(|item| item.origin.clone()).or_else(|| {
                    let line = key_line(&self.text, key.path)?;
                    Some(format!("{} line {line}", self.name))
                })
            })
            .collect();
        if places.is_empty() && !self.name.is_empty() {
            places.push(self.name.clone());
        }
        places
    }
}

fn read(what: &str, path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(what, path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(error.as_bytes());
        let line = line_of(&text, error.utf8_error().valid_up_to());
        let message = format!(
            "{} line {line}: this is not UTF-8: save the {what} file as UTF-8 text",
            path.display()
        );
        Failure::new(ExitCode::Config, message)
    })
}

fn unreadable(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ExitCode::Permission,
        _ => ExitCode::NoInput,
    };
    let message = format!(
        "cannot read the {what} file {}: {error}; check the path and its permissions",
        path.display()
    );
    Failure::new(code, message)
}

/// The token in this file: its first line.
pub(crate) fn token_in(path: &Path) -> Result<String, Failure> {
    let text = read("token", path)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// The policy that a configuration file makes, without environment and flags.
pub fn policy_in(path: &Path) -> Result<Policy, Failure> {
    let file = File::read(path)?;
    let policy = match file.table.get("policy") {
        Some(section) => Policy::deserialize(section.clone()).map_err(|error| {
            let message = format!("{}: {}", file.name, error.message());
            Failure::new(ExitCode::Config, message)
        })?,
        None => Policy::default(),
    };
    file.usable(&policy.problems(), &[])?;
    Ok(policy)
}

fn from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>, Failure> {
    let mut found = Vec::new();
    for (variable, value) in environment {
        if let Some(key) = KEYS.iter().find(|key| key.variable() == variable) {
            found.push(Override {
                key,
                value,
                origin: variable,
            });
        } else if variable.starts_with(PREFIX) && !is_known(&variable, &value) {
            let message = format!(
                "unknown environment variable {}: correct it or take it away; `spillway run --help` names those that there are",
                variable.escape_debug()
            );
            return Err(Failure::new(ExitCode::Config, message));
        }
    }
    Ok(found)
}

fn set(table: &mut Table, item: &Override) -> Result<(), Failure> {
    let refused = |why: &str| {
        // The token is the one value that must not be repeated.
        let value = if item.key.path == "token" {
            "(secret)"
        } else {
            &item.value
        };
        Failure::new(
            ExitCode::Config,
            format!("{} is {value:?}: {why}", item.origin),
        )
    };
    let wrong = |expected: &str| refused(&format!("give {expected}"));
    let value = match item.key.kind {
        Kind::Text => Value::String(item.value.clone()),
        Kind::Integer => Value::Integer(item.value.parse().map_err(|_| wrong("a whole number"))?),
        Kind::Number => Value::Float(item.value.parse().map_err(|_| wrong("a number"))?),
        Kind::Boolean => Value::Boolean(item.value.parse().map_err(|_| wrong("true or false"))?),
    };
    let (section, name) = item.key.path.split_once('.').unwrap_or(("", item.key.path));
    let place = if section.is_empty() {
        &mut *table
    } else {
        table
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| wrong("its section as a table in the file"))?
    };
    place.insert(name.to_owned(), value);
    match Config::deserialize(table.clone()) {
        Err(error) if !error.message().starts_with("missing field") => {
            // "unknown variant `AUTO`, expected one of `auto`, `local`, `burst`"; of numbers it names our types.
            Err(match error.message().split_once(", expected ") {
                Some(_) if item.key.kind == Kind::Integer => {
                    wrong("a whole number that is not negative, and not so large")
                }
                Some((_, expected)) => wrong(expected),
                None => refused(error.message()),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "tests/load.rs"]
mod tests;
