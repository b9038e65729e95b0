//! Changes a policy key by key, or not at all.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::decide::Policy;
use crate::observe::KeyChange;

/// `policy` with the members of `patch` over it, as a JSON merge patch (RFC 7396): null takes a key back
/// to its default. The keys and values are those of the configuration's section `policy`.
///
/// Fails with everything that is wrong, one sentence each.
pub fn patched(policy: &Policy, patch: &Map<String, Value>) -> Result<Policy, Vec<String>> {
    let mut all = keys_of(policy);
    let defaults = keys_of(&Policy::default());
    let mut problems = Vec::new();
    for (key, value) in patch {
        let Some(default) = defaults.get(key) else {
            problems.push(format!(
                "policy.{key} does not exist: `spillway policy get` shows the keys that do"
            ));
            continue;
        };
        let value = if value.is_null() { default } else { value };
        // By itself, so that each wrong value is named, and not only the first.
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        match Policy::deserialize(Value::Object(alone)) {
            Ok(_) => {
                all.insert(key.clone(), value.clone());
            }
            Err(error) => problems.push(format!("policy.{key} is {value}: {error}")),
        }
    }
    match Policy::deserialize(Value::Object(all)) {
        Ok(whole) => {
            problems.extend(whole.problems());
            if problems.is_empty() {
                return Ok(whole);
            }
        }
        Err(error) => problems.push(error.to_string()),
    }
    Err(problems.iter().map(|problem| one_line(problem)).collect())
}

/// Keys and values may be anything; what is said of them is a line in a log.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The keys whose values differ, in the policy's own order of keys.
pub fn changes(old: &Policy, new: &Policy) -> Vec<KeyChange> {
    let (mut old, new) = (keys_of(old), keys_of(new));
    new.into_iter()
        .filter_map(|(key, new)| {
            let old = old.remove(&key).unwrap_or_default();
            (old != new).then_some(KeyChange { key, old, new })
        })
        .collect()
}

/// A policy as JSON, one member for each key; null for a key that has no value.
pub(crate) fn keys_of(policy: &Policy) -> Map<String, Value> {
    match serde_json::to_value(policy) {
        Ok(Value::Object(keys)) => keys,
        // A struct of numbers, strings and durations: it is always an object.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::PolicyMode;

    fn patch(value: &Value) -> Result<Policy, Vec<String>> {
        patched(&Policy::default(), value.as_object().unwrap())
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let policy = patch(&json!({"mode": "burst", "engage_hold": "350ms"})).unwrap();
        let named = |policy: &Policy| -> Vec<String> {
            let changes = changes(&Policy::default(), policy);
            changes.into_iter().map(|change| change.key).collect()
        };
        assert_eq!(policy.mode, PolicyMode::Burst);
        assert_eq!(policy.engage_hold.as_millis(), 350);
        let mut changed = named(&policy);
        changed.sort();
        assert_eq!(changed, ["engage_hold", "mode"]);
        assert!(named(&Policy::default()).is_empty());
    }

    #[test]
    fn null_takes_a_key_back_to_its_default() {
        let other = patch(&json!({"min_rate": 5.0})).unwrap();
        let back = patched(&other, json!({"min_rate": null}).as_object().unwrap()).unwrap();
        assert_eq!(back, Policy::default());
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = patch(&json!({
            "engage": 0.5,
            "smoothing": 7,
            "target_utilization": "high",
            "release_utilization": 0.8,
            "min_rate": -3,
        }))
        .unwrap_err();
        for expected in [
            "policy.engage does not exist",
            "policy.smoothing is 7",
            "policy.target_utilization is \"high\"",
            "policy.release_utilization (0.8) must be below",
            "policy.min_rate is -3",
        ] {
            assert!(
                problems.iter().any(|problem| problem.contains(expected)),
                "{expected} is missing in {problems:?}"
            );
        }
    }

    #[test]
    fn a_change_reads_as_old_and_new_value() {
        let policy = patch(&json!({"mode": "local"})).unwrap();
        let text: Vec<_> = changes(&Policy::default(), &policy)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(text, ["mode auto → local"]);
    }
}
