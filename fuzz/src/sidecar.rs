//! What must hold for any text that people and programs give the sidecar. Each function is the body of a
//! fuzz target, and of a test in `sidecar/tests/corpus.rs` that goes through the target's corpus.

use std::time::Duration;

use spillway::config;
use spillway::decide::Policy;
use spillway::sim::Scenario;
use spillway::trace::{Event, Load, Reader, replay};

/// A configuration is refused in one line, or can be used. After a NUL come the variables of the
/// environment, one a line.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (file, environment) = text.split_once('\0').unwrap_or((text, ""));
    let variables = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    match config::from_text(file, variables) {
        Ok(config) => assert!(config.problems().is_empty()),
        Err(failure) => is_one_line(&failure.message),
    }
}

/// A patch of the policy is refused with its reasons, or makes a policy that can be used, and that the same
/// patch does not change any more.
pub fn policy_patch(json: &[u8]) {
    let Ok(patch) = serde_json::from_slice(json) else {
        return;
    };
    let before = Policy::default();
    match config::patched(&before, &patch) {
        Ok(after) => {
            assert!(after.problems().is_empty());
            let again = config::patched(&after, &patch).expect("it was good before");
            assert!(config::changes(&after, &again).is_empty());
            let changed = config::changes(&before, &after);
            assert!(changed.iter().all(|change| patch.contains_key(&change.key)));
        }
        Err(reasons) => {
            assert!(!reasons.is_empty());
            for reason in &reasons {
                is_one_line(reason);
            }
        }
    }
}

/// A trace is refused with its line, or is replayed to its end; each of its lines reads back what it writes.
pub fn trace(data: &[u8]) {
    let open = || Reader::new(data, "trace");
    let Ok(reader) = open() else {
        return;
    };
    let mut entries = Vec::new();
    for entry in reader {
        let Ok(entry) = entry else {
            break;
        };
        let text = serde_json::to_vec(&entry.event).expect("an event has a text");
        let again: Event = serde_json::from_slice(&text).expect("its own text");
        assert_eq!(again, entry.event);
        entries.push(entry);
    }
    drop(Load::of(&entries, Duration::from_secs(1)));
    match open().map(replay).expect("it could be opened before") {
        Ok(replayed) => assert!(replayed.differences <= replayed.steps),
        Err(error) => assert!(error.line > 0),
    }
}

/// A scenario is refused in one line, or is one. It is not run: how long that takes is its own affair.
pub fn scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // What lies beside it is this text again.
    match Scenario::parse(text, "scenario", |_| Ok(text.to_owned())) {
        Ok(scenario) => assert!(scenario.load.rate.duration_ms() > 0),
        Err(error) => is_one_line(&error.to_string()),
    }
}

fn is_one_line(message: &str) {
    assert!(!message.is_empty());
    assert!(!message.contains('\n'), "{message:?}");
}
