//! Files that are checked, replayed, and searched on.

use super::*;

#[test]
fn a_trace_is_checked_and_one_that_was_cut_short_is_65_with_its_line() {
    use spillway::decide::{Moment, Policy};
    use spillway::trace::{Header, Writer};

    let start = Moment::at(std::time::Duration::ZERO);
    let header = Header::new(start, 0, Policy::default(), "a test");
    let trace = Writer::new(Vec::new(), &header).unwrap();
    let whole = trace.end(start, 0).unwrap();
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    file.write_all(&whole[..first_line]).unwrap();
    let cut = output(&["validate", "--trace", &path], &[]);
    fails(&cut, 65, &[&path, "line 1", "cut short"]);
    file.write_all(&whole[first_line..]).unwrap();
    let valid = succeeds(&output(&["validate", "--trace", &path], &[]));
    assert!(valid.contains("0 steps"), "{valid}");
    fails(
        &output(&["validate", "--trace", "/no/such"], &[]),
        66,
        &["/no/such"],
    );
}

#[test]
fn validate_checks_one_thing_and_refuses_to_leave_out_another() {
    for (args, words) in [
        (
            &["--trace", "t", "--config", "c"][..],
            ["--trace", "--config"],
        ),
        (&["--online", "--trace", "t"], ["--trace", "--online"]),
        (
            &["--scenario", "s", "--policy-lease", "3s"],
            ["--scenario", "--policy-lease"],
        ),
        (
            &["--scenario", "s", "--trace", "t"],
            ["--trace", "--scenario"],
        ),
    ] {
        let both = output(&[&["validate"], args].concat(), &[]);
        fails(&both, 64, &words);
    }
    let variables = [
        ("SPILLWAY_TRACE", "/no/such"),
        ("SPILLWAY_VALIDATE_SCENARIO", "/no/such"),
    ];
    let words = ["SPILLWAY_TRACE", "SPILLWAY_VALIDATE_SCENARIO"];
    fails(&output(&["validate"], &variables), 64, &words);
}

#[test]
fn what_the_command_line_says_to_validate_goes_before_the_environment() {
    let config = file("[policy]\nlease = \"3s\"\n");
    let path = config.path().to_str().unwrap();
    for variable in ["SPILLWAY_TRACE", "SPILLWAY_VALIDATE_SCENARIO"] {
        let environment = [(variable, "/no/such")];
        for args in [
            &["validate", "--config", path][..],
            &["validate", "--grace=1s"],
        ] {
            assert_eq!(
                succeeds(&output(args, &environment)),
                "the configuration is valid\n"
            );
        }
        fails(&output(&["validate"], &environment), 66, &["/no/such"]);
    }
    let environment = [("SPILLWAY_CONFIG", path), ("SPILLWAY_ONLINE", "true")];
    let args = ["validate", "--trace", "/no/such"];
    fails(&output(&args, &environment), 66, &["/no/such"]);
}

#[test]
fn scenarios_are_checked_and_refused_as_simulate_would_refuse_them() {
    let good = "name = \"n\"\nabout = \"a\"\n[load]\nprofile = \"20k:2s\"\n[policy]\n";
    let (one, bad) = (file(good), file(&format!("{good}lease = \"1h\"\n")));
    let (one, bad) = (one.path().to_str().unwrap(), bad.path().to_str().unwrap());
    let check = |paths: &[&str]| output(&[&["validate", "--scenario"], paths].concat(), &[]);
    assert_eq!(succeeds(&check(&[one])), "the scenario is valid\n");
    assert_eq!(succeeds(&check(&[one, one])), "all 2 scenarios are valid\n");
    let refused = check(&[one, bad]);
    fails(&refused, 78, &[bad, "line 6", "policy.lease"]);
    assert_eq!(
        text(&refused.stderr),
        text(&output(&["simulate", bad], &[]).stderr)
    );
    fails(&check(&["/no/such"]), 66, &["/no/such"]);
    let environment = [("SPILLWAY_VALIDATE_SCENARIO", bad)];
    fails(&output(&["validate"], &environment), 78, &["line 6"]);
}

/// What `tune` does with a load whose only spike is in the last part, which is held out, and more of its scenario.
fn tuned(more: &str, policy: &std::path::Path) -> Output {
    let text = format!(
        "name = \"late\"\nabout = \"A late spike.\"\n[load]\nprofile = \"40k:20s,300k:8s\"\n{more}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.toml");
    std::fs::write(&path, text).unwrap();
    let args = [
        "--trace",
        path.to_str().unwrap(),
        "--objective",
        "p99<300ms",
    ];
    let more = [
        "--evaluations",
        "16",
        "--out-policy",
        policy.to_str().unwrap(),
    ];
    output(&[&["tune", "-o", "json"], &args[..], &more].concat(), &[])
}

#[test]
fn a_policy_is_recommended_only_if_it_will_do_on_the_part_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");

    let refused = tuned("[cloud]\noutages = [\"19s..60s\"]\n", &policy);
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains("held out") && error.contains("nearest of 16"),
        "{error}"
    );
    let found: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(found["best"], Value::Null);
    assert_eq!(found["tried"], 16);
    assert!(
        found["nearest"]["held_out"]["both"]["p99_ms"]
            .as_f64()
            .unwrap()
            >= 300.0
    );
    assert!(!policy.exists());

    let found: Value = serde_json::from_str(&succeeds(&tuned("", &policy))).unwrap();
    assert!(
        found["best"]["held_out"]["both"]["p99_ms"]
            .as_f64()
            .unwrap()
            < 300.0
    );
    assert_eq!(found["best"], found["nearest"]);
    let written = std::fs::read_to_string(&policy).unwrap();
    assert!(!written.contains("mode = \"local\""), "{written}");
    let check = output(&["validate", "--config", policy.to_str().unwrap()], &[]);
    succeeds(&check);
}

#[test]
fn scenarios_in_the_environment_are_separated_by_commas() {
    let good = file("name = \"n\"\nabout = \"a\"\n[load]\nprofile = \"20k:2s\"\n");
    let good = good.path().to_str().unwrap();
    let two = format!("{good}, {good}");
    let environment = [("SPILLWAY_VALIDATE_SCENARIO", two.as_str())];
    assert_eq!(
        succeeds(&output(&["validate"], &environment)),
        "all 2 scenarios are valid\n"
    );
    let environment = [("SPILLWAY_SIMULATE_SCENARIO", two.as_str())];
    let ran = succeeds(&output(&["simulate", "-o", "json"], &environment));
    let ran: Value = serde_json::from_str(&ran).unwrap();
    assert_eq!(ran["scenarios"].as_array().unwrap().len(), 2);
    let environment = [("SPILLWAY_SIMULATE_SCENARIO", ",")];
    fails(
        &output(&["simulate"], &environment),
        64,
        &["SPILLWAY_SIMULATE_SCENARIO", "comma"],
    );
    // On the command line a comma is part of a name.
    fails(&output(&["simulate", &two], &[]), 66, &[&two]);
}

#[test]
fn a_trace_that_replays_to_other_decisions_is_valid_and_they_are_counted() {
    use spillway::decide::{CloudLane, Moment, Observation, Policy, State, decide};
    use spillway::trace::{Event, Header, Joined, Step, Writer};

    let at = Moment::at(std::time::Duration::ZERO);
    let policy = Policy::default();
    let observation = Observation::Cloud(CloudLane::Open { credits: 8 });
    let (_, mut decision) = decide(&policy, State::default(), &observation, at);
    decision.credits += 1;
    let mut trace = Writer::new(Vec::new(), &Header::new(at, 0, policy, "a test")).unwrap();
    let joined = Joined {
        at,
        job: "wordcount".parse().unwrap(),
        valve: "valve".parse().unwrap(),
        state: None,
    };
    let step = Step {
        at,
        wall_ms: 0,
        job: joined.job.clone(),
        valve: joined.valve.clone(),
        observation,
        decision,
    };
    trace.write(&Event::Valve(joined)).unwrap();
    trace.write(&Event::Step(step)).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&trace.end(at, 0).unwrap()).unwrap();
    let path = file.path().to_str().unwrap();
    let valid = succeeds(&output(&["validate", "--trace", path], &[]));
    assert!(valid.contains("1 of them are decided otherwise"), "{valid}");
}
