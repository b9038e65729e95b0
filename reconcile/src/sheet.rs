//! The balance sheet as text.

use std::fmt::Write;

use crate::balance::{Balance, Summary, WindowLine};
use crate::books::Replay;
use crate::text::{grouped, size, time};

/// All windows are listed if there are no more than this; otherwise only open ones.
const MAX_LISTED: usize = 60;
/// At most so many lines about open windows, and so many about bad partials; JSON has them all.
const MAX_DETAILS: usize = 40;

/// Writes the balance sheet. `result` says where the result is.
pub fn sheet(
    summary: &Summary,
    balance: &Balance,
    replay: Option<&Replay>,
    result: &str,
) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = totals(&mut out, summary, result);
    let _ = windows(&mut out, balance);
    let _ = defects(&mut out, summary, replay);
    let _ = verdict(&mut out, summary);
    out
}

fn totals(out: &mut String, s: &Summary, result: &str) -> std::fmt::Result {
    let n = |count: u64| format!("{:>15}", grouped(count));
    let state = if s.ended { "ended" } else { "not ended" };
    writeln!(
        out,
        "Balance sheet of {} ({}, {state})\n",
        s.job, s.workload
    )?;
    writeln!(out, "  received     {}", n(s.received))?;
    writeln!(
        out,
        "    kept       {}   local lane  {}",
        n(s.kept),
        n(s.local)
    )?;
    writeln!(out, "    bounced    {}", n(s.bounced))?;
    writeln!(
        out,
        "    diverted   {}   cloud lane  {}   {} batches, {}",
        n(s.diverted),
        n(s.receipted),
        grouped(s.receipts),
        size(s.partial_bytes)
    )?;
    writeln!(out, "    late       {}", n(s.late))?;
    writeln!(
        out,
        "  malformed    {}   in either lane, among the above\n",
        n(s.malformed)
    )?;
    writeln!(
        out,
        "  windows      {}   closed {}, open {}",
        n(s.windows as u64),
        grouped(s.closed as u64),
        grouped(s.open as u64)
    )?;
    writeln!(out, "  lost         {}", n(s.lost))?;
    writeln!(out, "  duplicated   {}", n(s.duplicated))?;
    let in_flight = if s.ended || s.orphans == 0 {
        ""
    } else {
        ", or in flight still"
    };
    writeln!(
        out,
        "  orphans      {}   {}: partials without a committed receipt{in_flight}; not merged",
        n(s.orphans),
        size(s.orphan_bytes)
    )?;
    if s.unknown_objects > 0 {
        writeln!(
            out,
            "  unknown      {}   objects in partials/ that are none",
            n(s.unknown_objects)
        )?;
    }
    writeln!(out, "  result       {}   rows in {result}\n", n(s.rows))
}

fn windows(out: &mut String, balance: &Balance) -> std::fmt::Result {
    let all = balance.windows.len() <= MAX_LISTED;
    let open = balance.open().count();
    if !all && open == 0 || balance.windows.is_empty() {
        return Ok(());
    }
    let listed: Vec<&WindowLine> = if all {
        balance.windows.iter().collect()
    } else {
        balance.open().take(MAX_DETAILS).collect()
    };
    let names = [
        "received", "kept", "bounced", "diverted", "late", "local", "cloud",
    ];
    write!(out, "  {:<23}", "window (UTC)")?;
    for name in names {
        write!(out, " {name:>12}")?;
    }
    writeln!(out)?;
    for line in listed {
        let w = &line.counts;
        write!(out, "  {:<23}", time(line.start_ms))?;
        for count in [
            w.received,
            w.kept,
            w.bounced,
            w.diverted,
            w.late,
            w.local,
            w.receipted,
        ] {
            write!(out, " {:>12}", grouped(count))?;
        }
        if !line.is_closed() {
            write!(out, "  open: {}", line.why_open())?;
        }
        writeln!(out)?;
    }
    if !all && open > MAX_DETAILS {
        writeln!(
            out,
            "  … and {} more open windows: see --json",
            open - MAX_DETAILS
        )?;
    }
    writeln!(out)
}

fn defects(out: &mut String, s: &Summary, replay: Option<&Replay>) -> std::fmt::Result {
    for bad in s.bad_partials_detail.iter().take(MAX_DETAILS) {
        writeln!(out, "  {bad}")?;
    }
    let more = s.bad_partials.saturating_sub(MAX_DETAILS as u64);
    if more > 0 {
        writeln!(
            out,
            "  … and {more} more partials that are missing or damaged: see --json"
        )?;
    }
    if s.repeated_receipts > 0 || s.repeated_books > 0 {
        writeln!(
            out,
            "  {} receipts and {} books are in the ledger again after their first time: a file was \
             copied, or a sink is not exactly-once. Each was counted and merged once.",
            s.repeated_receipts, s.repeated_books
        )?;
    }
    if s.replayed_books > 0 {
        let which = replay.map_or_else(String::new, |replay| {
            format!(
                " (valve {}, subtask {}: attempt {} began after checkpoint {}, beyond which attempt \
                 {} had come)",
                replay.valve, replay.subtask, replay.again, replay.after, replay.before
            )
        });
        writeln!(
            out,
            "  {} times books tell again what another attempt's books tell{which}: the job was \
             restored from a checkpoint before its last, or started anew in this folder. Its \
             records since then are in the result twice.",
            s.replayed_books
        )?;
    }
    Ok(())
}

fn verdict(out: &mut String, s: &Summary) -> std::fmt::Result {
    if s.balanced {
        return writeln!(
            out,
            "Balanced: every record received is accounted for once."
        );
    }
    write!(
        out,
        "NOT balanced: {} of {} windows are open",
        s.open, s.windows
    )?;
    let waiting = s
        .windows_detail
        .iter()
        .filter(|window| !window.passed)
        .count();
    if waiting > 0 {
        write!(
            out,
            ", {waiting} of them because the job has not passed them yet"
        )?;
    }
    writeln!(out, ".")?;
    if s.open > 0 {
        writeln!(out, "Open windows are not in the result.")?;
    }
    if !s.ended {
        writeln!(
            out,
            "The job has not ended: files of its newest checkpoint may be on their way. Run again."
        )?;
    }
    Ok(())
}
