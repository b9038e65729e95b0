//! Policies and their changes as text.

use serde_json::{Map, Value};

use crate::config::keys::KEYS;
use crate::observe::KeyChange;

/// A policy as a section of the configuration, headed by `head`. Where `configured` differs, a comment
/// has its value.
pub(super) fn policy(
    head: &str,
    policy: &Map<String, Value>,
    configured: &Map<String, Value>,
) -> String {
    let mut lines = vec![head.to_owned(), "[policy]".to_owned()];
    for key in in_order(policy) {
        let value = &policy[key];
        let mut line = match value {
            Value::Null => format!("# {key} is not set"),
            value => format!("{key} = {}", literal(value)),
        };
        match configured.get(key) {
            Some(other) if other != value && other.is_null() => line += "  # configured: not set",
            Some(other) if other != value => {
                line = format!("{line}  # configured: {}", literal(other));
            }
            _ => {}
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

/// Changes, a line each: key, old value, new value.
pub(super) fn changes(changes: &[KeyChange]) -> String {
    let width = changes
        .iter()
        .map(|change| change.key.len())
        .max()
        .unwrap_or_default();
    let show = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        value => literal(value),
    };
    let line = |change: &KeyChange| {
        let (old, new) = (show(&change.old), show(&change.new));
        format!("{:width$}  {old} → {new}\n", change.key)
    };
    changes.iter().map(line).collect()
}

/// The keys in the order of the documentation; ones that this version does not know come last.
fn in_order(policy: &Map<String, Value>) -> Vec<&str> {
    let known = KEYS
        .iter()
        .filter_map(|key| key.path.strip_prefix("policy."))
        .filter(|key| policy.contains_key(*key));
    let mut all: Vec<&str> = known.collect();
    for key in policy.keys() {
        if !all.contains(&key.as_str()) {
            all.push(key);
        }
    }
    all
}

/// A value as TOML. What a policy has for values is written alike in JSON, but for strings' escapes.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::decide::Policy;

    fn members(policy: &Policy) -> Map<String, Value> {
        json!(policy).as_object().unwrap().clone()
    }

    #[test]
    fn a_policy_reads_back_as_configuration() {
        let other = Policy {
            min_rate: 5.0,
            max_usd_per_hour: Some(2.5),
            ..Policy::default()
        };
        let text = policy("# head", &members(&other), &members(&Policy::default()));
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.policy, other);
        assert!(
            text.starts_with("# head\n[policy]\nmode = \"auto\"\n"),
            "{text}"
        );
        assert!(
            text.contains("min_rate = 5.0  # configured: 1000.0\n"),
            "{text}"
        );
        assert!(text.contains("# max_concurrency is not set\n"), "{text}");
    }

    #[test]
    fn changes_are_aligned() {
        let change = |key: &str, old, new| KeyChange {
            key: key.into(),
            old,
            new,
        };
        let text = changes(&[
            change("mode", json!("auto"), json!("local")),
            change("max_usd_per_hour", Value::Null, json!(2.5)),
        ]);
        assert_eq!(
            text,
            "mode              \"auto\" → \"local\"\nmax_usd_per_hour  none → 2.5\n"
        );
    }
}
