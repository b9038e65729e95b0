//! The command itself: output, exit codes, one line for every mistake.

use std::fs;
use std::process::{Command, Output};

use crate::common::Job;

fn spillway_reconcile(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spillway-reconcile"))
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_balanced_job_gives_0_a_sheet_json_and_csv() {
    let job = Job::balanced();
    let location = format!("file://{}", job.path().display());
    let json = job.file("report.json");
    let output = spillway_reconcile(&[
        "run",
        "--location",
        &location,
        "--json",
        json.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Balanced: every record"));
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    for (field, value) in [
        ("windows", 2),
        ("closed", 2),
        ("open", 0),
        ("lost", 0),
        ("rows", 5),
    ] {
        assert_eq!(summary[field], value, "{field}");
    }
    let output = spillway_reconcile(&["export", "--location", &location]);
    assert_eq!(text(&output.stdout), job.csv());
    let csv = job.file("out.csv");
    spillway_reconcile(&[
        "export",
        "--location",
        &location,
        "--out",
        csv.to_str().unwrap(),
    ]);
    assert_eq!(fs::read_to_string(csv).unwrap(), job.csv());
}

#[test]
fn the_result_can_go_elsewhere() {
    let job = Job::balanced();
    let (location, out) = (job.path().to_str().unwrap(), job.file("elsewhere"));
    let out = out.to_str().unwrap();
    assert_eq!(
        spillway_reconcile(&["run", "--location", location, "--out", out])
            .status
            .code(),
        Some(0)
    );
    assert!(!job.file("final").exists());
    let output = spillway_reconcile(&["export", "--location", location, "--from", out]);
    assert!(text(&output.stdout).contains("0,both,2\n"));
}

#[test]
fn a_job_that_does_not_balance_gives_1() {
    let job = Job::balanced();
    fs::remove_dir_all(job.file("local")).unwrap();
    let output = spillway_reconcile(&["run", "--location", job.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("NOT balanced: 2 of 2 windows are open"));
}

#[test]
fn gc_says_what_it_removes() {
    let job = Job::balanced();
    let orphan = job.put_partial(5, &[(0, "orphan")]);
    let args = [
        "gc",
        "--location",
        job.path().to_str().unwrap(),
        "--grace",
        "0s",
    ];
    let output = spillway_reconcile(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.starts_with(&format!("remove {} (", orphan.batch)),
        "{said}"
    );
    assert!(said.contains("1 orphans"), "{said}");
    assert!(!job.file(&orphan.object).exists());
}

#[test]
fn every_mistake_is_one_line_with_its_exit_code() {
    let job = Job::balanced();
    let here = job.path().to_str().unwrap();
    let cases: &[(i32, &[&str], &str)] = &[
        (64, &["run"], "--location"),
        (64, &["run", "--location", "gs://b/x"], "unknown scheme"),
        (
            64,
            &["run", "--location", here, "--memory", "1MiB"],
            "64MiB",
        ),
        (
            64,
            &["run", "--location", here, "--workload", "nonesuch"],
            "wordcount",
        ),
        (
            64,
            &["gc", "--location", here, "--grace", "soon"],
            "--grace",
        ),
        (
            66,
            &["run", "--location", "/nonesuch/job"],
            "no directory /nonesuch/job",
        ),
        (66, &["export", "--location", here], "no finished result"),
        (
            73,
            &["run", "--location", here, "--json", "/nonesuch/x.json"],
            "/nonesuch/x.json",
        ),
    ];
    for (code, args, says) in cases {
        let output = spillway_reconcile(args);
        let said = text(&output.stderr);
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {said}");
    }
}
