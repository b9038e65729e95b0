//! Files that are no scenarios are refused whole, with the line and the reason.

use super::{refused, scenario};
use crate::sim::{day, spike_phases};

const HEAD: &str = "name = \"n\"\nabout = \"a\"\n";

#[test]
fn a_mistake_is_named_with_its_line() {
    for (rest, line, word) in [
        (
            "[load]\nprofile = \"5k:1s\"\nspeed = 3",
            5,
            "unknown field `speed`",
        ),
        ("[load]\nprofile = \"-5k:1s\"", 4, "negative"),
        ("[load]\nprofile = \"5k\"", 4, "no duration"),
        ("[load]\nprofile = \"5k:1s\"\nscale = -1.0", 5, "above 0"),
        (
            "[load]\nprofile = \"5k:1s\"\nshares = [0.7, 0.7]",
            5,
            "1 at most",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[lane]\ncapacity = -1.0",
            6,
            "above 0",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[lane]\nfixed = 1.5",
            6,
            "share",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[lane]\nsubtasks = 0",
            6,
            "1 to 1024",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[cloud]\noutages = [\"9s..3s\"]",
            6,
            "no span",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[cloud]\nnap = \"1s\"",
            6,
            "unknown field",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[expect]\ndiverted_share = [0.5, 0.1]",
            6,
            "no range",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[expect]\np42_ms = [0, 1]",
            6,
            "unknown field",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[expect]\nreaction_ms = [0, 1]",
            5,
            "phase named spike",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[expect.phase.late]\np50_local_ms = [0, 1]",
            5,
            "no phase",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[[restart]]\nat = \"1s\"\ndown = \"1s\"\nsubtasks = 0",
            8,
            "1 to 1024",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[[restart]]\nat = \"1s\"\ndown = \"1s\"\nsubtasks = 4000000000",
            8,
            "1 to 1024",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[[restart]]\nat = \"1s\"\ndown = \"1s\"\nworkers = 4000000000",
            8,
            "1 to 1024",
        ),
        (
            "[load]\nprofile = \"5k:1s\"\n[[restart]]\nat = \"1s\"\ndown = \"1s\"\ncapacity = 0.0",
            8,
            "above 0",
        ),
        ("[load]\ncsv = \"x.csv\"", 3, "line 3"),
        ("[load]\nscale = 2.0", 3, "either load.profile or load.csv"),
        ("[load]\nprofile = ", 4, "string"),
    ] {
        let error = refused(&format!("{HEAD}{rest}"));
        assert!(
            error.starts_with(&format!("test.toml line {line}: ")) && error.contains(word),
            "{rest}: {error}"
        );
    }
}

#[test]
fn what_would_be_left_out_or_could_not_happen_is_refused_with_its_line() {
    for (rest, line, word) in [
        (
            "[load]\nprofile = \"5k:9s\"\nscale = 2.0",
            5,
            "load.scale is for load.csv",
        ),
        (
            "[load]\nspeedup = 2.0\nprofile = \"5k:9s\"",
            4,
            "load.speedup is for load.csv",
        ),
        ("[load]\nprofile = \"0:9s\"", 3, "no record"),
        (
            "[load]\nprofile = \"5k:9s\"\n[[restart]]\nat = \"1s\"\ndown = \"1s\"\n[[restart]]\nat = \"9s\"\ndown = \"1s\"",
            8,
            "the load lasts 9000 ms",
        ),
        (
            "[load]\nprofile = \"5k:9s\"\n[[restart]]\nat = \"1s\"\ndown = \"2s\"\n[[restart]]\nat = \"2s\"\ndown = \"1s\"",
            8,
            "back at 3000 ms",
        ),
        (
            "[load]\nprofile = \"5k:9s\"\n[[restart]]\nat = \"4s\"\ndown = \"0s\"\n[[restart]]\nat = \"4s\"\ndown = \"0s\"",
            8,
            "restart at 4000 ms",
        ),
        (
            "[load]\nprofile = \"5k:9s\"\nshares = [0.5, 0.1, 0.1]\n[lane]\nsubtasks = 2",
            5,
            "3 shares, but at most 2 subtasks",
        ),
        (
            "[load]\nprofile = \"5k:9s\"\nshares = [0.0]",
            5,
            "without any load",
        ),
    ] {
        let error = refused(&format!("{HEAD}{rest}"));
        assert!(
            error.starts_with(&format!("test.toml line {line}: ")) && error.contains(word),
            "{rest}: {error}"
        );
    }
}

#[test]
fn restarts_that_follow_on_each_other_and_shares_of_the_larger_job_are_read() {
    let read = scenario(&format!(
        "{HEAD}[load]\nprofile = \"5k:9s\"\nshares = [0.5, 0.2, 0.2]\n\
         [[restart]]\nat = \"3s\"\ndown = \"1s\"\nsubtasks = 4\n[[restart]]\nat = \"1s\"\ndown = \"2s\""
    ));
    let times: Vec<u64> = read.restarts.iter().map(|each| each.at_ms).collect();
    assert_eq!(times, [1_000, 3_000]);
}

#[test]
fn prices_and_limits_that_the_configuration_refuses_are_refused_with_their_line() {
    for (rest, word) in [
        (
            "[lambda]\nusd_per_gb_second = -1.0",
            "lambda.usd_per_gb_second",
        ),
        ("[lambda]\nmemory_mb = 0", "lambda.memory_mb"),
        (
            "[lambda]\nendpoint_url = \"http://user:hunter2@h\"",
            "credentials",
        ),
        ("[divert]\nmax_concurrency = 0", "divert.max_concurrency"),
        ("[divert]\nqueue = 4000000000", "divert.queue"),
        ("[divert]\nmax_batch_bytes = 0", "divert.max_batch_bytes"),
        ("[divert]\ndeadline = \"0s\"", "divert.deadline"),
    ] {
        let error = refused(&format!("{HEAD}[load]\nprofile = \"5k:1s\"\n{rest}"));
        assert!(
            error.starts_with("test.toml line 6: ") && error.contains(word),
            "{rest}: {error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_policy_that_cannot_be_is_refused_with_its_line() {
    let error = refused(&format!(
        "{HEAD}[load]\nprofile = \"5k:1s\"\n[policy]\nengage_utilization = 0.5\nrelease_utilization = 0.8"
    ));
    assert!(
        error.starts_with("test.toml line 7: policy.release_utilization"),
        "{error}"
    );
    let error = refused(&format!(
        "{HEAD}[load]\nprofile = \"5k:1s\"\n[policy]\nmin_rate = -3.0"
    ));
    assert!(
        error.starts_with("test.toml line 6: policy.min_rate"),
        "{error}"
    );
    let error = refused(&format!(
        "{HEAD}[load]\nprofile = \"5k:1s\"\n[policy]\nengage = 0.5"
    ));
    assert!(
        error.starts_with("test.toml line 6: unknown field"),
        "{error}"
    );
}

#[test]
fn a_day_is_a_piece_a_minute_however_fast() {
    let text = "minute,requests\n0,60\n1,120\n\n2,0\n";
    let slow = day(text, 2.0, 1.0).unwrap();
    assert_eq!(slow.to_string(), "2:60000ms,4:60000ms,0:60000ms");
    let quick = day(text, 1.0, 1_800.0).unwrap();
    // 33.3 ms each: together they last 100 ms.
    assert_eq!(quick.to_string(), "1800:33ms,3600:34ms,0:33ms");
    assert!(day("0,-5", 1.0, 1.0).unwrap_err().contains("line 1"));
    let empty = day("minute,requests\n", 1.0, 1.0).unwrap_err();
    assert_eq!(empty, "there is no row minute,requests in it");
}

#[test]
fn the_minutes_of_a_day_follow_on_each_other() {
    assert!(day("minute,requests\n720,60\n721,120\n", 1.0, 1.0).is_ok());
    for (text, line, word) in [
        ("0,60\n5,60\n", 2, "minute 5 comes after minute 0"),
        ("minute,requests\n1,60\n0,60\n", 3, "minute 0 comes after"),
        ("0,60\n\n0,60\n", 3, "minute 0 comes after minute 0"),
    ] {
        let error = day(text, 1.0, 1.0).unwrap_err();
        assert!(
            error.starts_with(&format!("line {line}: ")) && error.contains(word),
            "{error}"
        );
    }
}

#[test]
fn the_spike_is_what_is_at_least_twice_as_high_as_the_start() {
    let names = |profile: &str| {
        let phases = spike_phases(&profile.parse().unwrap());
        let named = phases
            .iter()
            .map(|phase| format!("{} {}..{}", phase.name, phase.start_ms, phase.end_ms));
        named.collect::<Vec<_>>()
    };
    assert_eq!(
        names("30k:12s,740k:20s,30k:8s"),
        [
            "baseline 0..12000",
            "spike 12000..32000",
            "after 32000..40000"
        ]
    );
    assert_eq!(names("30k:10s,59k:1s"), Vec::<String>::new());
}

#[test]
fn a_swing_goes_up_and_down_around_the_load() {
    let swinging = scenario(&format!(
        "{HEAD}[load]\nprofile = \"100k:10s\"\nswing = {{ by = 0.1, period = \"4s\" }}"
    ));
    let rate = &swinging.load.rate;
    for (ms, value) in [(0, 100e3), (1_000, 110e3), (3_000, 90e3), (5_000, 110e3)] {
        assert!(
            (rate.at(ms) / value - 1.0).abs() < 0.005,
            "at {ms}: {}",
            rate.at(ms)
        );
    }
    assert_eq!(rate.duration_ms(), 10_000);
}
