//! What `GET /v1/status` answers, laid out for people.
//!
//! The answer is read member by member rather than as a whole: a sidecar of another version has others,
//! and what it does not have is shown as a dash.

use serde_json::Value;

use super::figures::{self, UNKNOWN};
use super::page::{Line, Page, Style};

/// So many of the last mode changes are shown.
const MODES: usize = 8;
/// With more valves, only the sums of each are shown, not their subtasks.
const SUBTASKS: usize = 8;

/// The page for a status of the sidecar at `url`.
pub(super) fn page(status: &Value, url: &str) -> Page {
    let mut page = Page::default();
    head(&mut page, status, url);
    page.space();
    valves(&mut page, status);
    page.space();
    if !list(status, "/totals").is_empty() {
        latencies(&mut page, status);
        page.space();
    }
    cloud(&mut page, status);
    page.space();
    modes(&mut page, status);
    page
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or(UNKNOWN)
}

fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A line that begins with what it is about.
fn about(what: &str) -> Line {
    Line::default().and(Style::Dim, format!("{what:<8}"))
}

fn mode_style(mode: &str) -> Style {
    match mode {
        "burst" => Style::Warn,
        "armed" => Style::Good,
        _ => Style::Bold,
    }
}

fn head(page: &mut Page, status: &Value, url: &str) {
    let uptime = figures::span(number(status, "/uptime_ms"));
    let line = Line::default()
        .and(
            Style::Bold,
            format!("spillway {}", text(status, "/version")),
        )
        .and(Style::Plain, format!("  {url}  up {uptime}  "));
    let problems = status.pointer("/problems").and_then(Value::as_object);
    page.line(match problems {
        Some(problems) if !problems.is_empty() => line.and(Style::Bad, "not ready"),
        Some(_) => line.and(Style::Good, "ready"),
        None => line,
    });
    for (part, problem) in problems.into_iter().flatten() {
        let problem = problem.as_str().unwrap_or(UNKNOWN);
        page.line(about("").and(Style::Bad, format!("{part}: {problem}")));
    }
    let mode = text(status, "/mode");
    page.line(
        about("mode")
            .and(mode_style(mode), mode)
            .and(Style::Plain, format!("  {}", text(status, "/reason"))),
    );
    let job = format!(
        "{}  {}  {}",
        text(status, "/job/name"),
        text(status, "/job/state"),
        text(status, "/job/id")
    );
    page.line(about("job").and(Style::Plain, job));
    let now = number(status, "/time_ms");
    let changed = number(status, "/policy/changed_ms")
        .zip(now)
        .map_or("as configured".to_owned(), |(changed, now)| {
            format!("changed {} ago", figures::span(Some(now - changed)))
        });
    let override_ = text(status, "/policy/mode");
    let style = if matches!(override_, "local" | "burst") {
        Style::Warn
    } else {
        Style::Plain
    };
    page.line(about("policy").and(style, override_).and(
        Style::Plain,
        format!("  version {}, {changed}", text(status, "/policy/version")),
    ));
}

fn valve_name(valve: &Value) -> String {
    format!("{}/{}", text(valve, "/job"), text(valve, "/valve"))
}

fn valves(page: &mut Page, status: &Value) {
    let totals = list(status, "/totals");
    if totals.is_empty() {
        page.line(Line::default().and(Style::Plain, "no valve has reported yet"));
        return;
    }
    let flow = |value: &Value| {
        let received = number(value, "/received_per_s");
        let diverted = number(value, "/diverted_per_s");
        let share = match (received, diverted) {
            (Some(received), Some(diverted)) if received > 0.0 => Some(diverted / received),
            _ => None,
        };
        [
            figures::rate(received),
            figures::rate(number(value, "/kept_per_s")),
            figures::rate(diverted),
            figures::share(share.map(|share| share.min(1.0))),
        ]
    };
    let mut rows = Vec::new();
    for valve in totals {
        let mut row = vec![valve_name(valve), text(valve, "/mode").to_owned()];
        row.extend(flow(valve));
        row.push(figures::rate(number(valve, "/capacity/per_s")));
        let bounds =
            number(valve, "/capacity/low_per_s").zip(number(valve, "/capacity/high_per_s"));
        row.push(bounds.map_or_else(
            || UNKNOWN.into(),
            |(low, high)| {
                format!(
                    "{} – {}",
                    figures::rate(Some(low)),
                    figures::rate(Some(high))
                )
            },
        ));
        rows.push(row);
        let subtasks: Vec<_> = list(status, "/valves")
            .iter()
            .filter(|subtask| valve_name(subtask) == valve_name(valve))
            .collect();
        if (2..=SUBTASKS).contains(&subtasks.len()) {
            for subtask in subtasks {
                let index =
                    number(subtask, "/subtask").map_or(UNKNOWN.into(), |index| index.to_string());
                let mut row = vec![format!("  subtask {index}"), String::new()];
                row.extend(flow(subtask));
                rows.push(row);
            }
        }
    }
    let heading = [
        "VALVE",
        "MODE",
        "ARRIVAL",
        "KEPT",
        "DIVERTED",
        "SHARE",
        "CAPACITY",
        "LOW – HIGH",
    ];
    page.table(&heading, &rows);
    for valve in totals.iter().filter(|_| totals.len() > 1) {
        let reason = format!("{}: {}", valve_name(valve), text(valve, "/reason"));
        page.line(Line::default().and(Style::Plain, reason));
    }
    for valve in totals {
        if let Some(budget) = valve.pointer("/bound_by").and_then(Value::as_str) {
            let line = format!("{}: held back by its budget ({budget})", valve_name(valve));
            page.line(Line::default().and(Style::Warn, line));
        }
    }
}

fn latencies(page: &mut Page, status: &Value) {
    let mut rows = Vec::new();
    for valve in list(status, "/totals") {
        for lane in ["local", "cloud"] {
            let at = |what: &str| number(valve, &format!("/latency_ms/{lane}/{what}"));
            rows.push(vec![
                format!("{} {lane}", valve_name(valve)),
                figures::millis(at("p50")),
                figures::millis(at("p99")),
                figures::millis(at("max")),
                figures::count(at("count")),
            ]);
        }
    }
    page.table(
        &["LATENCY, LAST SECONDS", "P50", "P99", "MAX", "TIMED"],
        &rows,
    );
}

fn cloud(page: &mut Page, status: &Value) {
    let line = about("cloud");
    page.line(
        match status.pointer("/cloud/open").and_then(Value::as_bool) {
            Some(true) => line.and(Style::Good, "open").and(
                Style::Plain,
                format!(
                    "  room for {} batches",
                    figures::count(number(status, "/cloud/credits"))
                ),
            ),
            Some(false) => line
                .and(Style::Bad, "shut")
                .and(Style::Plain, format!("  {}", text(status, "/cloud/reason"))),
            None => line.and(Style::Plain, UNKNOWN),
        },
    );
    let count = |pointer: &str| figures::count(number(status, pointer));
    let batches = format!(
        "{} in flight; {} taken in, {} failed, {} turned away; {} retries, {} throttled",
        count("/divert/in_flight"),
        count("/divert/batches"),
        count("/divert/failed"),
        count("/divert/turned_away"),
        count("/divert/retries"),
        count("/divert/throttled"),
    );
    let failed = number(status, "/divert/failed").is_some_and(|failed| failed > 0.0);
    let style = if failed { Style::Warn } else { Style::Plain };
    page.line(about("batches").and(style, batches));
    let took = format!(
        "p50 {}, p99 {}; {} cold starts; {} in, {} sent",
        figures::millis(number(status, "/divert/p50_ms")),
        figures::millis(number(status, "/divert/p99_ms")),
        count("/function/cold_starts"),
        figures::bytes(number(status, "/divert/bytes_in")),
        figures::bytes(number(status, "/divert/bytes_out")),
    );
    page.line(about("receipt").and(Style::Plain, took));
    let usd = |pointer: &str| figures::usd(number(status, pointer));
    let budget = number(status, "/policy/max_usd_per_hour").map_or(String::new(), |budget| {
        format!(" of {} allowed", figures::usd(Some(budget)))
    });
    let cost = format!(
        "{} so far (Lambda {}, S3 {}); {} an hour at the last minute's pace{budget}",
        usd("/cost_usd/total"),
        usd("/cost_usd/lambda"),
        usd("/cost_usd/s3_puts"),
        usd("/cost_usd/per_hour"),
    );
    page.line(about("cost").and(Style::Plain, cost));
}

fn modes(page: &mut Page, status: &Value) {
    let changes = list(status, "/modes");
    if changes.is_empty() {
        page.line(about("modes").and(Style::Plain, "no change yet"));
        return;
    }
    page.line(Line::default().and(Style::Dim, "MODE CHANGES, LATEST FIRST"));
    let now = number(status, "/time_ms");
    for change in changes.iter().rev().take(MODES) {
        let age = number(change, "/time_ms")
            .zip(now)
            .map(|(then, now)| now - then);
        let mode = text(change, "/mode");
        page.line(
            Line::default()
                .and(Style::Dim, format!("{:>11} ago  ", figures::span(age)))
                .and(mode_style(mode), format!("{mode:<5}"))
                .and(
                    Style::Plain,
                    format!("  {}  {}", valve_name(change), text(change, "/reason")),
                ),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        let subtask = |index: u32| {
            json!({"job": "wordcount", "valve": "valve", "subtask": index,
            "received_per_s": 206_000.0, "kept_per_s": 74_500.0, "diverted_per_s": 131_500.0})
        };
        json!({"version": "0.1.0", "uptime_ms": 7_980_000, "time_ms": 1_000_000, "problems": {},
            "mode": "burst", "reason": "arrival 412 k/s > 0.9 × capacity 198 k/s for 500 ms",
            "job": {"name": "wordcount", "state": "RUNNING", "id": "5f3a"},
            "policy": {"version": "19ab-3", "mode": "auto", "changed_ms": 700_000, "max_usd_per_hour": 5.0},
            "totals": [{"job": "wordcount", "valve": "valve", "mode": "burst", "reason": "r",
                "received_per_s": 412_000.0, "kept_per_s": 149_000.0, "diverted_per_s": 263_000.0,
                "capacity": {"per_s": 198_000.0, "low_per_s": 185_000.0, "high_per_s": 214_000.0},
                "bound_by": "spend",
                "latency_ms": {"local": {"count": 900, "p50": 12.3, "p99": 80.0, "max": 95.0},
                    "cloud": {"count": 0, "p50": null, "p99": null, "max": null}}}],
            "valves": [subtask(0), subtask(1)],
            "cloud": {"open": true, "credits": 24},
            "divert": {"in_flight": 3, "batches": 1204, "failed": 0, "turned_away": 1, "retries": 3,
                "throttled": 0, "p50_ms": 85.0, "p99_ms": 210.0, "bytes_in": 8_388_608, "bytes_out": 4e6},
            "function": {"cold_starts": 5},
            "cost_usd": {"total": 0.0123, "lambda": 0.01, "s3_puts": 0.0023, "per_hour": 1.4},
            "modes": [{"time_ms": 900_000, "job": "wordcount", "valve": "valve", "mode": "armed", "reason": "known"},
                {"time_ms": 988_000, "job": "wordcount", "valve": "valve", "mode": "burst", "reason": "spike"}]})
    }

    #[test]
    fn a_spike_fits_on_one_screen_and_reads_like_this() {
        let text = page(&status(), "http://127.0.0.1:7077").text(false, None);
        assert_eq!(
            text,
            "\
spillway 0.1.0  http://127.0.0.1:7077  up 2 h 13 min  ready
mode    burst  arrival 412 k/s > 0.9 × capacity 198 k/s for 500 ms
job     wordcount  RUNNING  5f3a
policy  auto  version 19ab-3, changed 5 min 0 s ago

VALVE             MODE  ARRIVAL      KEPT  DIVERTED  SHARE  CAPACITY         LOW – HIGH
wordcount/valve  burst  412 k/s   149 k/s   263 k/s   64 %   198 k/s  185 k/s – 214 k/s
  subtask 0             206 k/s  74.5 k/s   132 k/s   64 %
  subtask 1             206 k/s  74.5 k/s   132 k/s   64 %
wordcount/valve: held back by its budget (spend)

LATENCY, LAST SECONDS      P50      P99      MAX  TIMED
wordcount/valve local  12.3 ms  80.0 ms  95.0 ms    900
wordcount/valve cloud        –        –        –      0

cloud   open  room for 24 batches
batches 3 in flight; 1204 taken in, 0 failed, 1 turned away; 3 retries, 0 throttled
receipt p50 85.0 ms, p99 210 ms; 5 cold starts; 8.39 MB in, 4.00 MB sent
cost    $0.0123 so far (Lambda $0.0100, S3 $0.0023); $1.40 an hour at the last minute's pace of $5.00 allowed

MODE CHANGES, LATEST FIRST
       12 s ago  burst  wordcount/valve  spike
 1 min 40 s ago  armed  wordcount/valve  known
"
        );
    }

    #[test]
    fn what_is_wrong_and_who_overrides_stand_out() {
        let mut status = status();
        status["problems"] = json!({"flink": "no such job"});
        status["policy"]["mode"] = json!("local");
        status["cloud"] = json!({"open": false, "reason": "connection reset"});
        let text = page(&status, "u").text(true, None);
        for expected in [
            "\x1b[1;31mnot ready\x1b[0m",
            "\x1b[1;31mflink: no such job\x1b[0m",
            "\x1b[1;33mlocal\x1b[0m",
            "\x1b[1;31mshut\x1b[0m  connection reset",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in {text}");
        }
    }

    #[test]
    fn a_status_of_another_version_shows_dashes() {
        let text = page(&json!({"totals": [{}], "modes": [{}]}), "u").text(false, None);
        assert!(
            text.contains("spillway –") && text.contains("–/–"),
            "{text}"
        );
    }
}
