//! The real binary: what it prints, and what it exits with.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod asking;
mod files;
#[path = "../sidecar/mod.rs"]
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

/// A file with this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
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
