//! The real binary: what it prints, and what it exits with.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod sidecar;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sidecar::Sidecar;

/// The binary, with nothing of this environment but what it needs to run.
fn spillway(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.env_clear().args(args);
    command
}

fn output(args: &[&str], environment: &[(&str, &str)]) -> Output {
    spillway(args)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// It fails with `code` and one line on the standard error that has all of `words`.
#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("spillway: "), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error}");
    }
    assert_eq!(text(&output.stdout), "");
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert_eq!(error, "");
    text(&output.stdout)
}

/// A port on which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn help_names_environment_twins_exit_codes_and_examples() {
    let help = succeeds(&output(&["--help"], &[]));
    for word in [
        "status",
        "policy",
        "completions",
        "  69  ",
        "  77  ",
        "SPILLWAY_TOKEN",
    ] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
    let help = succeeds(&output(&["policy", "set", "--help"], &[]));
    for word in [
        "SPILLWAY_URL",
        "SPILLWAY_TOKEN_FILE",
        "SPILLWAY_OUTPUT",
        "SPILLWAY_IF_VERSION",
        "mode=local",
    ] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
    assert!(!help.contains('\x1b'));
}

#[test]
fn a_wrong_command_line_is_64() {
    for args in [
        &["stauts"][..],
        &["status", "--watch=0s"],
        &["status", "--output", "xml"],
        &["status", "--timeout", "0s"],
        &["status", "--url", "localhost"],
        &["policy", "set", "mode"],
        &["policy", "set"],
        &["policy", "set", "mode=local", "policy.mode=burst"],
        &["completions", "basic"],
    ] {
        fails(&output(args, &[]), 64, &[]);
    }
    fails(
        &output(&["status"], &[("SPILLWAY_OUTPUT", "xml")]),
        64,
        &["xml"],
    );
}

#[test]
fn a_misspelt_command_is_told_the_right_one_and_none_is_told_all() {
    fails(&output(&["stauts"], &[]), 64, &["stauts", "'status'"]);
    for args in [&[][..], &["policy"]] {
        let help = output(args, &[]);
        assert_eq!(help.status.code(), Some(64));
        assert!(text(&help.stderr).contains("Commands:"), "{help:?}");
    }
}

#[test]
fn credentials_in_a_url_are_refused_and_not_repeated() {
    let environment = [("SPILLWAY_URL", "http://user:hunter2@127.0.0.1:1")];
    let refused = output(&["status"], &environment);
    fails(&refused, 64, &["SPILLWAY_TOKEN"]);
    assert!(!text(&refused.stderr).contains("hunter2"));
    for key in ["FLINK_REST_URL", "LAMBDA_ENDPOINT_URL"] {
        let variable = format!("SPILLWAY_{key}");
        let environment = [
            (variable.as_str(), "http://user:hunter2@127.0.0.1:1"),
            ("SPILLWAY_FLINK_JOB", "wordcount"),
        ];
        let refused = output(&["validate"], &environment);
        fails(&refused, 78, &["credentials"]);
        assert!(!text(&refused.stderr).contains("hunter2"));
    }
}

#[test]
fn beyond_loopback_it_does_not_start_without_a_token() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = output(&["run", "--listen", address], &[]);
        fails(&refused, 78, &["not loopback", "token_file"]);
    }
}

#[test]
fn a_sidecar_that_is_not_there_is_69_and_says_what_to_do() {
    let url = nobody();
    for args in [
        &["status"][..],
        &["status", "--watch"],
        &["policy", "get"],
        &["policy", "set", "mode=local"],
        &["policy", "diff"],
    ] {
        let environment = [("SPILLWAY_URL", url.as_str())];
        fails(
            &output(args, &environment),
            69,
            &[&url, "spillway run", "--url"],
        );
    }
}

#[test]
fn without_flink_it_runs_and_warns_once_and_only_validate_refuses() {
    let flink = nobody();
    let environment = [
        ("SPILLWAY_FLINK_REST_URL", flink.as_str()),
        ("SPILLWAY_FLINK_JOB", "wordcount"),
        ("SPILLWAY_FLINK_POLL_INTERVAL", "20ms"),
    ];
    fails(
        &output(&["validate", "--online"], &environment),
        69,
        &[&flink],
    );
    let sidecar = Sidecar::start(&environment);
    let blind_looks = || {
        sidecar.report();
        let metrics = sidecar.ask("GET /metrics", "", b"");
        let mut lines = metrics.lines();
        let count = lines.find_map(|line| line.strip_prefix("spillway_sensor_blind_looks_total "));
        count.unwrap().parse::<u32>().unwrap()
    };
    while blind_looks() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let log = sidecar.end();
    let warnings: Vec<_> = log
        .lines()
        .filter(|line| line.contains("part=\"flink\""))
        .collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(
        warnings[0].contains("WARN") && warnings[0].contains(&flink),
        "{log}"
    );
}

#[test]
fn what_does_not_answer_in_time_is_69_and_what_is_no_sidecar_76() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = output(&["status", "--url", &url, "--timeout", "50ms"], &[]);
    fails(&silent, 69, &["no answer within 50ms"]);

    let server = std::thread::spawn(move || {
        for stream in listener.incoming().skip(1).take(2) {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let line = lines.next().unwrap();
            // All of it: a connection that is closed with something unread is reset.
            lines.find(String::is_empty).unwrap();
            let answer = if line.contains("status") {
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
            } else {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    fails(
        &output(&["status", "--url", &url], &[]),
        76,
        &["no spillway sidecar"],
    );
    fails(
        &output(&["policy", "get", "--url", &url], &[]),
        76,
        &["/v1/policy"],
    );
    server.join().unwrap();
}

#[test]
fn without_the_right_token_it_is_77_and_the_token_is_not_repeated() {
    let sidecar = Sidecar::start(&[("SPILLWAY_TOKEN", "s3cret")]);
    let url = ("SPILLWAY_URL", sidecar.url());
    fails(&output(&["status"], &[url]), 77, &["SPILLWAY_TOKEN"]);
    let wrong = output(&["status"], &[url, ("SPILLWAY_TOKEN", "gu3ss")]);
    fails(&wrong, 77, &["does not accept"]);
    assert!(!text(&wrong.stderr).contains("gu3ss"));
    succeeds(&output(&["status"], &[url, ("SPILLWAY_TOKEN", "s3cret")]));

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"s3cret\n").unwrap();
    let path = file.path().to_str().unwrap();
    succeeds(&output(&["status", "--token-file", path], &[url]));
    let missing = output(&["status", "--token-file", "/no/such/file"], &[url]);
    fails(&missing, 66, &["/no/such/file"]);
}

#[test]
fn the_status_is_plain_text_in_a_pipe_and_json_on_demand() {
    let sidecar = Sidecar::start(&[]);
    sidecar.report();
    let url = ("SPILLWAY_URL", sidecar.url());
    let page = succeeds(&output(&["status"], &[url]));
    for word in [
        "spillway ",
        sidecar.url(),
        "wordcount/valve",
        "CAPACITY",
        "cost ",
        "policy ",
    ] {
        assert!(page.contains(word), "{word:?} is missing in {page}");
    }
    assert!(!page.contains('\x1b'), "{page:?}");
    let json = succeeds(&output(&["status"], &[url, ("SPILLWAY_OUTPUT", "json")]));
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["totals"][0]["valve"], "valve");
}

#[test]
fn watching_in_a_pipe_prints_one_status_after_the_other_until_nobody_reads() {
    let sidecar = Sidecar::start(&[]);
    let args = [
        "status",
        "--watch=100ms",
        "--output",
        "json",
        "--url",
        sidecar.url(),
    ];
    let mut watch = spillway(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let status: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert!(status["mode"].is_string());
    }
    drop(lines);
    let ended = watch.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), text(&ended.stderr).as_str()),
        (Some(0), "")
    );
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    let mut completions = spillway(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(completions.stdout.take());
    let ended = completions.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), text(&ended.stderr).as_str()),
        (Some(0), "")
    );
}

#[test]
fn a_policy_is_set_shown_and_compared() {
    let sidecar = Sidecar::start(&[("SPILLWAY_POLICY_MIN_RATE", "2000")]);
    let run = |args: &[&str]| output(&[args, &["--url", sidecar.url()]].concat(), &[]);

    let set = succeeds(&run(&[
        "policy",
        "set",
        "mode=local",
        "policy.engage_hold=350ms",
    ]));
    assert!(
        set.contains("\"auto\" → \"local\"") && set.contains("\"200ms\" → \"350ms\""),
        "{set}"
    );
    assert!(succeeds(&run(&["policy", "set", "mode=local"])).contains("nothing to change"));

    let got = succeeds(&run(&["policy", "get"]));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(got.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(
        succeeds(&output(&["validate", "--config", path], &[])),
        "the configuration is valid\n"
    );
    assert!(succeeds(&run(&["policy", "diff", path])).starts_with("no difference"));
    assert_eq!(
        succeeds(&run(&["policy", "get", "mode"])).lines().last(),
        Some("mode = \"local\"  # configured: \"auto\"")
    );

    let defaults = succeeds(&run(&["policy", "diff"]));
    assert!(
        defaults.contains("min_rate") && defaults.contains("1000.0 → 2000.0"),
        "{defaults}"
    );
    let configured = run(&[
        "policy",
        "diff",
        "--configured",
        "--exit-code",
        "--output",
        "json",
    ]);
    assert_eq!(
        (configured.status.code(), text(&configured.stderr).as_str()),
        (Some(1), "")
    );
    let changes: Value = serde_json::from_slice(&configured.stdout).unwrap();
    assert_eq!(changes.as_array().unwrap().len(), 2);

    succeeds(&run(&[
        "policy",
        "set",
        "mode=default",
        "engage_hold=default",
    ]));
    assert!(succeeds(&run(&["policy", "diff", "--configured"])).starts_with("no difference"));
}

#[test]
fn a_policy_that_cannot_be_is_65_with_all_reasons_and_changes_nothing() {
    let sidecar = Sidecar::start(&[]);
    let run = |args: &[&str]| output(&[args, &["--url", sidecar.url()]].concat(), &[]);
    let before = succeeds(&run(&["policy", "get"]));
    let bad = [
        "policy",
        "set",
        "mode=local",
        "min_rate=-1",
        "engage_utilization=0.1",
        "speed=9",
        "lease=nan",
    ];
    let words = [
        "policy.min_rate",
        "policy.engage_utilization",
        "policy.speed",
        "policy.lease",
    ];
    fails(&run(&bad), 65, &words);
    assert_eq!(succeeds(&run(&["policy", "get"])), before);
    fails(&run(&["policy", "get", "speed"]), 64, &["policy.speed"]);
}

#[test]
fn a_policy_that_somebody_else_changed_is_75() {
    let sidecar = Sidecar::start(&[]);
    let run = |args: &[&str]| output(&[args, &["--url", sidecar.url()]].concat(), &[]);
    let seen: Value =
        serde_json::from_str(&succeeds(&run(&["policy", "get", "-o", "json"]))).unwrap();
    let seen = seen["version"].as_str().unwrap();
    succeeds(&run(&["policy", "set", "mode=local", "--if-version", seen]));
    fails(
        &run(&["policy", "set", "mode=burst", "--if-version", seen]),
        75,
        &["by now"],
    );
}

#[test]
fn a_file_to_compare_with_that_cannot_be_used_is_refused_with_its_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[policy]\nmode = \"auto\"\nspeed = 9\n")
        .unwrap();
    let path = file.path().to_str().unwrap();
    fails(
        &output(&["policy", "diff", path], &[]),
        78,
        &[path, "line 3", "speed"],
    );
    fails(
        &output(&["policy", "diff", "/no/such"], &[]),
        66,
        &["/no/such"],
    );
}

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
fn a_misspelt_variable_is_refused_and_those_of_other_commands_are_not() {
    for (variable, command) in [("SPILLWAY_TOKN", "validate"), ("SPILLWAY_LISTN", "run")] {
        let refused = output(&[command], &[(variable, "hunter2")]);
        fails(&refused, 78, &[variable]);
        assert!(!text(&refused.stderr).contains("hunter2"));
    }
    let others = [
        ("SPILLWAY_URL", "http://127.0.0.1:1"),
        ("SPILLWAY_READY_FILE", "/no/such/file"),
        ("SPILLWAY_TUNE_OUT_POLICY", "/no/such/file"),
        ("SPILLWAY_IF_VERSION", "1"),
        ("SPILLWAY_LOG", "info"),
        ("SPILLWAY_SERVICE_HOST", "10.0.0.7"),
        ("SPILLWAY_PORT", "tcp://10.0.0.7:7077"),
    ];
    succeeds(&output(&["validate"], &others));
}

/// A file with this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
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

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeds(&output(&["completions", shell], &[]));
        for word in ["status", "policy", "validate", "if-version"] {
            assert!(script.contains(word), "{shell}: {word} is missing");
        }
    }
    let script = succeeds(&output(&["completions", "bash"], &[]));
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let mut complaints = String::new();
    bash.stderr
        .take()
        .unwrap()
        .read_to_string(&mut complaints)
        .unwrap();
    assert!(bash.wait().unwrap().success(), "{complaints}");
}

#[test]
fn a_standard_error_that_nobody_reads_changes_no_exit_code() {
    let missed = "name = \"n\"\nabout = \"a\"\n[load]\nprofile = \"20k:2s\"\n[expect]\ndiverted_share = [0.9, 1]\n";
    let missed = file(missed);
    let missed = missed.path().to_str().unwrap();
    let cloud = nobody();
    for (args, code) in [
        (&["simulate", missed][..], 1),
        (&["simulate", "/no/such.toml"], 66),
        (&["stauts"], 64),
        // All of the help goes there.
        (&[], 64),
        // And so does the log.
        (
            &["validate", "--online", "--lambda-endpoint-url", &cloud],
            69,
        ),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = spillway(args)
            .envs([
                ("SPILLWAY_LOG", "debug"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ])
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
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

#[test]
fn only_run_and_validate_look_for_misspelt_variables() {
    let misspelt = ("SPILLWAY_TOKN", "hunter2");
    fails(&output(&["validate"], &[misspelt]), 78, &["SPILLWAY_TOKN"]);
    let url = nobody();
    fails(
        &output(&["status"], &[misspelt, ("SPILLWAY_URL", &url)]),
        69,
        &[&url],
    );
}
