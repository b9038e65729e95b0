use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::config::keys::by_path;
use crate::decide::PolicyMode;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn from(text: &str) -> Result<Config, Failure> {
    load(Some(file(text).path()), [], Vec::new())
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn flag(path: &str, value: &str) -> Override {
    let key = by_path(path).unwrap();
    Override {
        key,
        value: value.into(),
        origin: format!("--{}", key.flag),
    }
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(from("").unwrap(), Config::default());
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let config = from(
        r#"
        listen = "127.0.0.1:0"
        [flink]
        rest_url = "http://127.0.0.1:8081"
        job = "wordcount"
        poll_interval = "150ms"
        [lambda]
        function = "spillway-burst"
        region = "us-east-1"
        endpoint_url = "http://127.0.0.1:9001"
        memory_mb = 1769
        [divert]
        max_concurrency = 4
        queue = 2
        max_batch_bytes = 8388608
        deadline = "3s"
        [policy]
        mode = "burst"
        target_utilization = 0.7
        "#,
    )
    .unwrap();
    assert_eq!(
        config.flink.unwrap().poll_interval,
        Duration::from_millis(150)
    );
    assert_eq!(config.divert.deadline, Duration::from_secs(3));
    assert_eq!(config.policy.mode, PolicyMode::Burst);
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let file = file("[divert]\nqueue = 1\nmax_concurrency = 1\n[policy]\nmode = \"local\"\n");
    let environment = env(&[
        ("SPILLWAY_DIVERT_QUEUE", "2"),
        ("SPILLWAY_DIVERT_MAX_CONCURRENCY", "2"),
        ("HOME", "/"),
    ]);
    let config = load(
        Some(file.path()),
        environment,
        vec![flag("divert.queue", "3")],
    )
    .unwrap();
    assert_eq!(config.divert.queue, 3);
    assert_eq!(config.divert.max_concurrency, 2);
    assert_eq!(config.policy.mode, PolicyMode::Local);
}

#[test]
fn a_section_may_be_completed_by_the_environment() {
    let file = file("[flink]\nrest_url = \"http://localhost:1\"\n");
    let config = load(
        Some(file.path()),
        env(&[("SPILLWAY_FLINK_JOB", "wordcount")]),
        Vec::new(),
    )
    .unwrap();
    assert_eq!(config.flink.unwrap().job, "wordcount");
    let incomplete = load(Some(file.path()), [], Vec::new()).unwrap_err();
    assert!(incomplete.message.contains("job"), "{incomplete}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let failure = from("listen = \"127.0.0.1:1\"\n\n[divert]\nqeue = 5\n").unwrap_err();
    assert_eq!(failure.code, ExitCode::Config);
    assert!(
        failure.message.contains("line 4") && failure.message.contains("qeue"),
        "{failure}"
    );
    assert!(!failure.message.contains('\n'));
}

#[test]
fn an_unknown_variable_is_refused_and_its_value_not_repeated() {
    for variable in [
        "SPILLWAY_DIVERT_QEUE",
        "SPILLWAY_TOKN",
        "SPILLWAY_LISTN",
        "SPILLWAY_",
    ] {
        let failure = load(None, env(&[(variable, "s3cret")]), Vec::new()).unwrap_err();
        assert_eq!(failure.code, ExitCode::Config);
        let said = format!("unknown environment variable {variable}:");
        assert!(failure.message.starts_with(&said), "{failure}");
        assert!(!failure.message.contains("s3cret"), "{failure}");
    }
}

#[test]
fn variables_of_the_log_the_function_and_others_are_let_through() {
    let others = env(&[
        ("SPILLWAY_LOG", "debug"),
        ("SPILLWAY_DESTINATION", "s3://data/spillway"),
        ("SPILLWAY_METRICS", "emf"),
        ("SPILLWAY_RUN", "1"),
        ("SPILLWAY_SERVICE_HOST", "10.0.0.7"),
        ("NOT_SPILLWAY_LISTEN", "x"),
    ]);
    assert_eq!(load(None, others, Vec::new()).unwrap(), Config::default());
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_origin() {
    for (path, value) in [
        ("divert.queue", "many"),
        ("policy.min_rate", "x"),
        ("grace", "soon"),
        ("listen", "home"),
    ] {
        let failure = load(None, [], vec![flag(path, value)]).unwrap_err();
        let origin = format!("--{}", by_path(path).unwrap().flag);
        assert!(
            failure.message.contains(&origin) && failure.message.contains(value),
            "{failure}"
        );
    }
}

#[test]
fn values_out_of_range_are_all_named_at_once() {
    let failure = from(
        "[divert]\nmax_concurrency = 0\nmax_batch_bytes = 99999999\n[policy]\nengage_utilization = 0.5\nlease = \"2m\"\n",
    )
    .unwrap_err();
    for name in [
        "max_concurrency",
        "max_batch_bytes",
        "target_utilization",
        "lease",
    ] {
        assert!(
            failure.message.contains(name),
            "{name} is missing in: {failure}"
        );
    }
}

#[test]
fn what_is_not_a_url_is_refused_where_one_is_needed() {
    for url in ["", "127.0.0.1:8081", "ftp://host", "http://"] {
        for key in ["flink.rest_url", "lambda.endpoint_url"] {
            let flags = vec![flag("flink.job", "wordcount"), flag(key, url)];
            let failure = load(None, [], flags).unwrap_err();
            assert!(failure.message.contains(key), "{failure}");
        }
    }
}

#[test]
fn beyond_loopback_a_token_is_demanded() {
    let failure = from("listen = \"0.0.0.0:7077\"\n").unwrap_err();
    assert!(failure.message.contains("token"), "{failure}");
    assert!(from("listen = \"0.0.0.0:7077\"\ntoken = \"s3cret\"\n").is_ok());
    let empty = from("listen = \"0.0.0.0:7077\"\ntoken = \"\"\n").unwrap_err();
    assert!(empty.message.contains("empty"), "{empty}");
}

#[test]
fn the_token_comes_from_a_file_and_is_never_shown() {
    let token = file("s3cret\n");
    let config = from(&format!("token_file = {:?}\n", token.path())).unwrap();
    assert!(config.token.as_ref().unwrap().matches(b"s3cret"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_missing_file_is_no_input() {
    let failure = load(Some(Path::new("/nowhere/spillway.toml")), [], Vec::new()).unwrap_err();
    assert_eq!(failure.code, ExitCode::NoInput);
}

#[test]
fn every_key_is_known_to_the_configuration_and_its_names_are_distinct() {
    let sample = |key: &Key| match (key.path, key.kind) {
        ("listen", _) => "127.0.0.1:1",
        ("policy.mode", _) => "local",
        ("flink.rest_url" | "lambda.endpoint_url", _) => "http://localhost:1",
        (path, Kind::Text)
            if ["token", "job", "function", "region"]
                .iter()
                .any(|name| path.ends_with(name)) =>
        {
            "x"
        }
        ("token_file", _) => "/dev/null",
        (_, Kind::Text) => "1s",
        ("lambda.memory_mb", _) => "128",
        (_, Kind::Integer) => "7",
        (_, Kind::Number) => "0.5",
        (_, Kind::Boolean) => "false",
    };
    for key in KEYS {
        let item = Override {
            key,
            value: sample(key).into(),
            origin: key.variable(),
        };
        set(&mut Table::new(), &item).unwrap_or_else(|failure| panic!("{}: {failure}", key.path));
    }
    let flags: std::collections::BTreeSet<_> = KEYS.iter().map(|key| key.flag).collect();
    assert_eq!(flags.len(), KEYS.len());
}

const BAD_POLICY: &str = "grace = \"1s\"\n[divert]\nmax_concurrency = 8\n\n[policy]\nlease = \"1s\"\n\
    min_rate = -1\nengage_utilization = 0.5\nmax_concurrency = 0\n";

/// What is said of [`BAD_POLICY`] in a file of this name.
fn said_of_it(name: &str) -> String {
    format!(
        "{name} line 8: policy.target_utilization (0.75) must not be above policy.engage_utilization (0.5); \
         {name} line 9: policy.max_concurrency is 0; give at least 1, or set policy.mode to local; \
         {name} line 7: policy.min_rate is -1; give at least 1 record per second"
    )
}

#[test]
fn a_policy_that_cannot_be_is_refused_with_the_lines_that_set_it() {
    let file = file(BAD_POLICY);
    let name = file.path().display().to_string();
    let failure = load(Some(file.path()), [], Vec::new()).unwrap_err();
    assert_eq!(failure.code, ExitCode::Config);
    assert_eq!(failure.message, said_of_it(&name));
    assert_eq!(policy_in(file.path()).unwrap_err(), failure);
    let failure = from_text(BAD_POLICY, []).unwrap_err();
    assert_eq!(failure.message, said_of_it("the configuration"));
}

#[test]
fn what_a_variable_or_a_flag_sets_is_refused_with_its_name() {
    let file = file("\n[policy]\nrelease_lag = \"3s\"\nmin_rate = 5\n");
    let name = file.path().display().to_string();
    let environment = env(&[
        ("SPILLWAY_POLICY_MIN_RATE", "-1"),
        ("SPILLWAY_POLICY_ENGAGE_LAG", "2s"),
        ("SPILLWAY_POLICY_LEASE", "1h"),
    ]);
    let flags = vec![flag("policy.lease", "2h")];
    let failure = load(Some(file.path()), environment.clone(), flags).unwrap_err();
    assert_eq!(
        failure.message,
        format!(
            "{name} line 3 and SPILLWAY_POLICY_ENGAGE_LAG: policy.release_lag (3s) must be below \
             policy.engage_lag (2s); --policy-lease: policy.lease is 7200s; give 100ms to 60s; \
             SPILLWAY_POLICY_MIN_RATE: policy.min_rate is -1; give at least 1 record per second"
        )
    );
    let without = load(None, environment, Vec::new()).unwrap_err();
    assert!(
        without
            .message
            .starts_with("SPILLWAY_POLICY_LEASE: policy.lease is 3600s"),
        "{without}"
    );
}

#[test]
fn other_sections_have_their_lines_too() {
    let file = file("listen = \"0.0.0.0:1\"\n[lambda]\nmemory_mb = 1\n");
    let name = file.path().display().to_string();
    let message = load(Some(file.path()), [], Vec::new()).unwrap_err().message;
    assert!(
        message.starts_with(&format!("{name} line 1: listen is"))
            && message.contains(&format!("; {name} line 3: lambda.memory_mb is 1")),
        "{message}"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_its_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"grace = \"1s\"\n\n# caf\xe9\n").unwrap();
    for failure in [
        load(Some(file.path()), [], Vec::new()).unwrap_err(),
        policy_in(file.path()).unwrap_err(),
    ] {
        assert_eq!(failure.code, ExitCode::Config);
        let place = format!("{} line 3: this is not UTF-8", file.path().display());
        assert!(failure.message.starts_with(&place), "{failure}");
    }
}

#[test]
fn a_flag_of_a_wrong_kind_is_told_what_to_give() {
    for (path, value, said) in [
        (
            "policy.mode",
            "AUTO",
            "give one of `auto`, `local`, `burst`",
        ),
        ("policy.lease", "x", "give a duration"),
        ("listen", "foo", "invalid socket address syntax"),
        (
            "divert.queue",
            "99999999999",
            "give a whole number that is not negative, and not so large",
        ),
    ] {
        let failure = load(None, [], vec![flag(path, value)]).unwrap_err();
        assert_eq!(failure.code, ExitCode::Config);
        let flag = format!("--{} is {value:?}: {said}", by_path(path).unwrap().flag);
        assert_eq!(failure.message, flag);
    }
}
