//! A load and its job from a recorded trace.

use std::path::Path;
use std::time::Duration;

use crate::decide::{Moment, Observation};
use crate::failure::{ExitCode, Failure};
use crate::sim::{Curve, Piece, Scenario};
use crate::trace::{Entry, Event, Load, Reader, Slot};
use crate::tune::{Measured, at_work, fit};

/// Arrival is taken in stretches as long as a report's interval.
const SLOT: Duration = Duration::from_millis(100);

/// The load of the trace in `path`, and its job as far as the trace tells; the rest is as in `template`.
pub(super) fn source(
    path: &Path,
    mut template: Scenario,
) -> Result<(Scenario, Vec<String>), Failure> {
    let code = if path.exists() {
        ExitCode::Data
    } else {
        ExitCode::NoInput
    };
    let failed = |error: String| Failure::new(code, error);
    let reader = Reader::open(path).map_err(|error| failed(error.to_string()))?;
    let (header, entries) = reader.all().map_err(|error| failed(error.to_string()))?;
    let load =
        Load::of(&entries, SLOT).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    let mut notes = vec![format!(
        "load and policy of the trace {}, {:.0} s",
        path.display(),
        (SLOT.as_secs_f64() * load.slots.len() as f64)
    )];
    template.load.rate =
        curve(&load.slots).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    template.policy = header.policy;
    template.restarts.clear();
    template.phases.clear();
    for entry in &entries {
        if let Event::Policy(change) = &entry.event {
            template.policy = change.policy.clone();
        }
    }
    template.model.lane.subtasks = load.parallelism;
    let all: f64 = load.received.values().sum();
    if load.received.len() > 1 && all > 0.0 {
        template.load.shares = load
            .received
            .values()
            .map(|records| records / all)
            .collect();
    }
    let (earlier, diverted) = load.before;
    let rate = all / (SLOT.as_secs_f64() * load.slots.len() as f64);
    let at_it =
        Duration::try_from_secs_f64(earlier as f64 / rate.max(1.0)).unwrap_or(Duration::MAX);
    at_work(&mut template.model.lane, at_it, diverted);
    if let Some(cores) = cores(&entries, &load) {
        template.model.lane.cores = f64::from(cores);
    }
    notes.extend(fit(&mut template.model.lane, &measured(&entries, &load)).notes);
    notes.push("cloud, buffers and pauses: not in a trace, so as in the model".into());
    Ok((template, notes))
}

/// The arrival slot by slot; where nothing is known, as it was before.
fn curve(slots: &[Slot]) -> Result<Curve, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last = 0.0;
    // A tenth of a second.
    let ms = 100;
    for slot in slots {
        if slot.covered.get() > 0.0 {
            last = slot.arrival.get();
        }
        pieces.push(Piece {
            from: last,
            to: last,
            ms,
        });
    }
    Curve::new(pieces).map_err(|error| error.to_string())
}

/// How many processors the busiest worker has, as last told.
fn cores(entries: &[Entry], load: &Load) -> Option<u32> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Step(step) if load.concerns(step) => match &step.observation {
            Observation::Lane(lane) => lane.worker_cores.filter(|cores| *cores > 0),
            _ => None,
        },
        _ => None,
    })
}

/// What the workers' processor time was measured over, and what went through the valve meanwhile.
fn measured(entries: &[Entry], load: &Load) -> Vec<Measured> {
    let steps = || {
        entries.iter().filter_map(|entry| match &entry.event {
            Event::Step(step) if load.concerns(step) => Some(step),
            _ => None,
        })
    };
    let is_report = |observation: &Observation| matches!(observation, Observation::Report { .. });
    let Some(origin) = steps()
        .find(|step| is_report(&step.observation))
        .map(|step| step.at)
    else {
        return Vec::new();
    };
    steps()
        .filter_map(|step| {
            let Observation::Lane(lane) = &step.observation else {
                return None;
            };
            let cpu = lane.worker_cpu?;
            (!lane.worker_cpu_window.is_zero())
                .then(|| over(load, origin, step.at, lane.worker_cpu_window, cpu.get()))?
        })
        .collect()
}

/// The mean of what is known of the slots in the `span` before `end`.
fn over(load: &Load, origin: Moment, end: Moment, span: Duration, cpu: f64) -> Option<Measured> {
    let index = |at: Duration| usize::try_from(at.as_millis() / SLOT.as_millis()).ok();
    let to = index(end.since(origin))?.min(load.slots.len());
    let from = index(end.since(origin).saturating_sub(span))?.min(to);
    let known: Vec<&Slot> = load.slots[from..to]
        .iter()
        .filter(|slot| slot.covered.get() > 0.5)
        .collect();
    if known.is_empty() {
        return None;
    }
    let mean =
        |of: fn(&Slot) -> f64| known.iter().map(|slot| of(slot)).sum::<f64>() / known.len() as f64;
    Some(Measured {
        span,
        end: end.since(origin),
        kept: mean(|slot| slot.kept.get()),
        diverted: mean(|slot| slot.diverted.get()),
        cpu,
        unavailable: mean(|slot| slot.unavailable.get()),
    })
}
