//! `spillway policy`: the policy of a running sidecar, read, changed and compared.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Map, Value, json};

use super::output::{self, Format};
use super::remote::{self, Answer, Remote};
use super::{Subcommand, runtime, toml_text};
use crate::config;
use crate::decide::Policy;
use crate::failure::{ExitCode, Failure};
use crate::observe::KeyChange;
use crate::serve::policy::PolicyAnswer;

pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    command,
    run: execute,
};

const PATH: &str = "/v1/policy";

fn command() -> Command {
    let keys = Arg::new("keys")
        .value_name("KEY")
        .num_args(0..)
        .help("Only these keys");
    let get = Command::new("get")
        .about("Print the policy in force, as TOML for the configuration")
        .arg(keys);
    let settings = Arg::new("settings")
        .value_name("KEY=VALUE")
        .required(true)
        .num_args(1..)
        .help("What to set; the value `default` takes a key back to its default");
    let version = Arg::new("if-version")
        .long("if-version")
        .value_name("VERSION")
        .env("SPILLWAY_IF_VERSION")
        .help("Only if the policy is still this version, as `policy get` prints it");
    let set = Command::new("set")
        .about("Change the policy in force: all of it or, if anything is wrong, nothing")
        .after_help(
            "A change lasts until the sidecar stops. To keep it, put what `spillway policy get` prints into\n\
             the configuration.\n\n\
             Examples:\n  \
             spillway policy set mode=local\n  \
             spillway policy set engage_utilization=0.85 target_utilization=0.7 engage_hold=300ms\n  \
             spillway policy set max_usd_per_hour=2.50\n  \
             spillway policy set mode=default",
        )
        .args([settings, version]);
    let file = Arg::new("file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Configuration file to compare with, instead of the defaults");
    let configured = Arg::new("configured")
        .long("configured")
        .env("SPILLWAY_CONFIGURED")
        .action(ArgAction::SetTrue)
        .conflicts_with("file")
        .help("Compare with what the sidecar was started with: what a restart would undo");
    let code = Arg::new("exit-code")
        .long("exit-code")
        .env("SPILLWAY_EXIT_CODE")
        .action(ArgAction::SetTrue)
        .help("Exit with 1 if there are differences");
    let diff = Command::new("diff")
        .about("Compare the policy in force with the defaults, or with a file's")
        .args([file, configured, code]);
    let sub = |command| output::add(remote::add(command));
    Command::new("policy")
        .about("Read, change or compare the policy of a running sidecar")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([sub(get), sub(set), sub(diff)])
}

fn execute(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(());
    };
    let remote = Remote::new(matches)?;
    let format = output::format(matches);
    runtime::block_on(async {
        match name {
            "get" => get(&remote, format, &strings(matches, "keys")).await,
            "set" => set(&remote, format, matches).await,
            _ => diff(&remote, format, matches).await,
        }
    })
}

fn strings(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches
        .get_many::<String>(name)
        .map(|values| values.cloned().collect())
        .unwrap_or_default()
}

async fn get(remote: &Remote, format: Format, keys: &[String]) -> Result<(), Failure> {
    let mut answer = remote.get(PATH).await?.json;
    let keys: Vec<_> = keys.iter().map(|key| plain(key)).collect();
    if let Some(unknown) = keys.iter().find(|key| answer["policy"].get(key).is_none()) {
        let message = format!(
            "policy.{unknown} does not exist: `spillway policy get` shows the keys that do"
        );
        return Err(Failure::new(ExitCode::Usage, message));
    }
    if !keys.is_empty() {
        for part in ["policy", "configured"] {
            if let Some(all) = answer[part].as_object_mut() {
                all.retain(|key, _| keys.contains(&key.as_str()));
            }
        }
    }
    let text = match format {
        Format::Json => format!("{answer:#}\n"),
        Format::Text => {
            let head = format!(
                "# {}, version {}",
                remote.url(),
                answer["version"].as_str().unwrap_or("?")
            );
            toml_text::policy(
                &head,
                &members(&answer["policy"]),
                &members(&answer["configured"]),
            )
        }
    };
    output::print(&text).map(drop)
}

async fn set(remote: &Remote, format: Format, matches: &ArgMatches) -> Result<(), Failure> {
    let mut pairs = Vec::new();
    for setting in strings(matches, "settings") {
        let Some((key, value)) = setting.split_once('=') else {
            let message = format!("{setting:?} is no setting: give KEY=VALUE, such as mode=local");
            return Err(Failure::new(ExitCode::Usage, message));
        };
        let (key, value) = (plain(key.trim()).to_owned(), value.trim().to_owned());
        if pairs.iter().any(|(known, _)| *known == key) {
            let message = format!("{key} is given twice: give it once");
            return Err(Failure::new(ExitCode::Usage, message));
        }
        pairs.push((key, value));
    }
    let Answer { json: before, etag } = remote.get(PATH).await?;
    let version = before["version"].as_str().unwrap_or_default();
    if let Some(expected) = matches.get_one::<String>("if-version")
        && expected != version
    {
        let message = format!(
            "not changed: the policy is version {version} by now, not {expected}: read it, and decide anew"
        );
        return Err(Failure::new(ExitCode::Temporary, message));
    }
    let patch: Map<String, Value> = pairs
        .into_iter()
        .map(|(key, text)| {
            let value = value(&text, &before["policy"][&key]);
            (key, value)
        })
        .collect();
    let etag = etag.unwrap_or_else(|| format!("\"{version}\""));
    let after = remote.patch(PATH, &Value::Object(patch), &etag).await?.json;
    let text = match format {
        Format::Json => format!("{after:#}\n"),
        Format::Text => {
            let changes: Vec<KeyChange> =
                serde_json::from_value(after["changed"].clone()).unwrap_or_default();
            let version = after["version"].as_str().unwrap_or("?");
            if changes.is_empty() {
                format!("nothing to change: the policy is so already (version {version})\n")
            } else {
                format!(
                    "{}in force as version {version}, until the sidecar stops\n",
                    toml_text::changes(&changes)
                )
            }
        }
    };
    output::print(&text).map(drop)
}

async fn diff(remote: &Remote, format: Format, matches: &ArgMatches) -> Result<(), Failure> {
    let file = matches.get_one::<PathBuf>("file");
    let (base, what) = match file {
        Some(path) => (Some(config::policy_in(path)?), path.display().to_string()),
        None if matches.get_flag("configured") => (None, "the configuration".to_owned()),
        None => (Some(Policy::default()), "the defaults".to_owned()),
    };
    let answer = remote.get(PATH).await?.json;
    let answer: PolicyAnswer = serde_json::from_value(answer).map_err(|error| {
        let message = format!(
            "the sidecar at {} has a policy of another version than this command: {error}",
            remote.url()
        );
        Failure::new(ExitCode::Protocol, message)
    })?;
    let base = base.unwrap_or(answer.configured);
    let changes = config::changes(&base, &answer.policy);
    let text = match format {
        Format::Json => format!("{:#}\n", json!(changes)),
        Format::Text if changes.is_empty() => format!("no difference from {what}\n"),
        Format::Text => format!(
            "{}from {what} to version {}, in force\n",
            toml_text::changes(&changes),
            answer.version
        ),
    };
    output::print(&text)?;
    if matches.get_flag("exit-code") && !changes.is_empty() {
        return Err(Failure::silent(ExitCode::Different));
    }
    Ok(())
}

/// A key as it is called within the policy; the configuration's name of it will do too.
fn plain(key: &str) -> &str {
    key.strip_prefix("policy.").unwrap_or(key)
}

/// What was written for a key whose value is `now`. What cannot be read as such a value goes as text: the
/// sidecar says what is wrong with it, along with all the rest.
fn value(text: &str, now: &Value) -> Value {
    if matches!(text, "default" | "none") {
        return Value::Null;
    }
    let literal = match now {
        Value::String(_) => None,
        _ => serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| value.is_number() || value.is_boolean()),
    };
    literal.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_what_the_key_has_now() {
        assert_eq!(value("0.5", &json!(0.9)), json!(0.5));
        assert_eq!(value("8", &Value::Null), json!(8));
        assert_eq!(value("false", &json!(true)), json!(false));
        assert_eq!(value("300ms", &json!("1s")), json!("300ms"));
        assert_eq!(value("5", &json!("1s")), json!("5"));
        assert_eq!(value("default", &json!("auto")), Value::Null);
        for odd in ["nan", "high", "[1]", "", "1e999"] {
            assert_eq!(value(odd, &json!(0.9)), json!(odd));
        }
    }
}
