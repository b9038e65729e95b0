//! The scenarios that ship: each must show what it says.

use std::path::Path;

use crate::sim::Scenario;

fn all() -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Scenario::read(path).unwrap())
        })
        .collect()
}

#[test]
fn every_scenario_shows_what_it_expects() {
    let mut missed = Vec::new();
    for (name, scenario) in all() {
        let outcome = scenario.run(false);
        let checks = scenario.expect.check(&outcome);
        missed.extend(
            checks
                .into_iter()
                .filter(|check| !check.good)
                .map(|check| format!("{name}: {check:?}")),
        );
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_scenario_says_what_it_expects_of_latency_share_modes_spend_and_capacity() {
    let all = all();
    assert!(all.len() >= 15);
    for (name, scenario) in all {
        let expect = &scenario.expect;
        assert!(expect.p99_local_ms.is_some(), "{name}");
        assert!(expect.diverted_share.is_some(), "{name}");
        assert!(expect.mode_changes.is_some(), "{name}");
        assert!(expect.spend_usd.is_some(), "{name}");
        assert!(expect.capacity_per_s.is_some(), "{name}");
    }
}
