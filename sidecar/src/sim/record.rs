//! Keeps what a run shows.

use super::histogram::Histogram;
use super::lane::Lane;
use super::outcome::{ModeChange, Outcome, Phase, PhaseOutcome, Second};
use super::setup::Setup;
use super::valve::Valve;

/// What was seen so far.
pub(crate) struct Recorder {
    phases: Vec<Phase>,
    whole: PhaseOutcome,
    seen: Vec<PhaseOutcome>,
    modes: Vec<ModeChange>,
    seconds: Option<Vec<SecondSeen>>,
    spike: Option<(u64, u64)>,
    reaction_ms: Option<u64>,
    last_diverted_ms: Option<u64>,
    /// Counters at the end of the last second: received, kept, diverted, processor time.
    before: [f64; 4],
    /// What attempts that have ended had counted.
    ended: [f64; 4],
    latest: [f64; 4],
    spent_usd: f64,
}

#[derive(Default)]
struct SecondSeen {
    row: Second,
    local: Histogram,
    cloud: Histogram,
}

impl Recorder {
    pub(crate) fn new(setup: &Setup<'_>) -> Self {
        let outcome = |phase: &Phase| PhaseOutcome {
            name: phase.name.clone(),
            ms: phase.end_ms - phase.start_ms,
            ..PhaseOutcome::default()
        };
        let spike = setup.phases.iter().find(|phase| phase.name == "spike");
        Self {
            whole: PhaseOutcome {
                name: "whole".into(),
                ms: setup.load.rate.duration_ms(),
                ..PhaseOutcome::default()
            },
            seen: setup.phases.iter().map(outcome).collect(),
            phases: setup.phases.to_vec(),
            modes: Vec::new(),
            seconds: setup.timeline.then(Vec::new),
            spike: spike.map(|phase| (phase.start_ms, phase.end_ms)),
            reaction_ms: None,
            last_diverted_ms: None,
            before: [0.0; 4],
            ended: [0.0; 4],
            latest: [0.0; 4],
            spent_usd: 0.0,
        }
    }

    pub(crate) fn due(&mut self, now_ms: u64, records: f64) {
        if let Some(second) = self.second(now_ms) {
            second.row.due_per_s += records;
        }
    }

    /// Records due at `due_ms` have gone through the local lane.
    pub(crate) fn local(&mut self, due_ms: u64, now_ms: u64, records: f64) {
        let ms = (now_ms - due_ms) as f64 + 0.5;
        self.whole.local.record(ms, records);
        for seen in phases_at(&self.phases, &mut self.seen, due_ms) {
            seen.local.record(ms, records);
        }
        if let Some(second) = self.second(due_ms) {
            second.local.record(ms, records);
        }
    }

    /// The same of the cloud lane.
    pub(crate) fn cloud(&mut self, due_ms: u64, now_ms: u64, records: f64) {
        let ms = (now_ms - due_ms) as f64 + 0.5;
        self.whole.cloud.record(ms, records);
        for seen in phases_at(&self.phases, &mut self.seen, due_ms) {
            seen.cloud.record(ms, records);
        }
        if let Some(second) = self.second(due_ms) {
            second.cloud.record(ms, records);
        }
    }

    pub(crate) fn mode(&mut self, change: ModeChange) {
        self.whole.mode_changes += 1;
        for seen in phases_at(&self.phases, &mut self.seen, change.offset_ms) {
            seen.mode_changes += 1;
        }
        self.modes.push(change);
    }

    /// The job has died; its counters start anew.
    pub(crate) fn attempt(&mut self) {
        for (ended, latest) in self.ended.iter_mut().zip(&mut self.latest) {
            *ended += *latest;
            *latest = 0.0;
        }
    }

    /// A millisecond has passed.
    pub(crate) fn tick(&mut self, now_ms: u64, valves: &[Valve], lane: &Lane, spent_usd: f64) {
        let spent = spent_usd - self.spent_usd;
        if spent > 0.0 {
            self.spent_usd = spent_usd;
            for seen in phases_at(&self.phases, &mut self.seen, now_ms) {
                seen.spend_usd += spent;
            }
        }
        if valves.iter().any(|valve| valve.diverted_ms == Some(now_ms)) {
            self.last_diverted_ms = Some(now_ms);
            if let Some((start, _)) = self.spike
                && now_ms >= start
                && self.reaction_ms.is_none()
            {
                self.reaction_ms = Some(now_ms - start);
            }
        }
        if self.seconds.is_none() || now_ms % 1_000 != 999 {
            return;
        }
        let sum = |of: fn(&Valve) -> f64| valves.iter().map(of).sum::<f64>();
        let used = lane.used_ms().0.fold(0.0, f64::max);
        self.latest = [
            sum(|valve| valve.counters.received),
            sum(|valve| valve.counters.to_local),
            sum(|valve| valve.counters.to_cloud),
            used,
        ];
        let mut now = self.latest;
        for (now, ended) in now.iter_mut().zip(&self.ended) {
            *now += ended;
        }
        let before = std::mem::replace(&mut self.before, now);
        if let Some(second) = self.second(now_ms) {
            second.row.received_per_s = (now[0] - before[0]).max(0.0);
            second.row.kept_per_s = (now[1] - before[1]).max(0.0);
            second.row.diverted_per_s = (now[2] - before[2]).max(0.0);
            second.row.worker_cpu = (now[3] - before[3]).max(0.0) / 1e3;
        }
    }

    fn second(&mut self, ms: u64) -> Option<&mut SecondSeen> {
        let seconds = self.seconds.as_mut()?;
        let index = usize::try_from(ms / 1_000).ok()?;
        if index >= seconds.len() {
            seconds.resize_with(index + 1, SecondSeen::default);
        }
        seconds.get_mut(index)
    }

    pub(crate) fn finish(mut self, now_ms: u64, spent_usd: f64) -> Outcome {
        self.whole.spend_usd = spent_usd;
        let mut timeline = Vec::new();
        for (index, second) in self.seconds.take().unwrap_or_default().iter().enumerate() {
            timeline.push(Second {
                offset_s: index as u64,
                p99_local_ms: second.local.quantile_ms(0.99),
                p99_cloud_ms: second.cloud.quantile_ms(0.99),
                ..second.row
            });
        }
        let release_ms = self.spike.zip(self.last_diverted_ms);
        Outcome {
            release_ms: release_ms.map(|((_, end), last)| last.saturating_sub(end)),
            reaction_ms: self.reaction_ms,
            whole: self.whole,
            phases: self.seen,
            modes: self.modes,
            timeline,
            capacity_per_s: None,
            throttled: 0,
            lowest_limit: 0,
            bounced_batches: 0,
            settled_batches: 0,
            cold_starts: 0,
            simulated_ms: now_ms,
            decisions: 0,
        }
    }
}

/// The phases that a moment is in; they may overlap.
fn phases_at<'a>(
    phases: &'a [Phase],
    seen: &'a mut [PhaseOutcome],
    ms: u64,
) -> impl Iterator<Item = &'a mut PhaseOutcome> {
    phases
        .iter()
        .zip(seen)
        .filter(move |(phase, _)| (phase.start_ms..phase.end_ms).contains(&ms))
        .map(|(_, seen)| seen)
}
