//! Commands that ask a sidecar.

use super::*;

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
