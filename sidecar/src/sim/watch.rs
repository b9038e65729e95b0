//! What the sensor sees of the simulated job, as late as Flink's REST interface shows it.

use std::collections::VecDeque;
use std::time::Duration;

use super::model::Sensor as Model;
use crate::decide::{LaneLoad, Share};

/// A worker's processor time is compared over at least so long (`sense/flink/meter.rs`).
const CPU_WINDOW_MS: u64 = 1_000;

/// Cumulative times at one moment, in ms.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_field_names)] // their unit
pub(crate) struct Counters {
    pub(crate) at_ms: u64,
    /// Of the valve's subtask that waited most.
    pub(crate) blocked_ms: f64,
    /// Of the lane's subtasks.
    pub(crate) busy_ms: f64,
    /// Of each worker, for each of its processors.
    pub(crate) used_ms: Vec<f64>,
}

/// Looks at a steady pace, and sees what the last look caused to be fetched.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// What the next look will see.
    fetched: Option<Counters>,
    /// What the last look saw.
    seen: Option<Counters>,
    /// Since when processor time is counted.
    cpu: VecDeque<Counters>,
    worker_cpu: Option<Share>,
}

impl Watch {
    /// A look. `None` if it shows nothing new.
    pub(crate) fn look(
        &mut self,
        model: &Model,
        now_ms: u64,
        counters: Counters,
    ) -> Option<LaneLoad> {
        if !model.enabled || model.gaps.iter().any(|gap| gap.contains(now_ms)) {
            // After a gap the first answer is whatever an earlier look caused to be fetched.
            *self = Self::default();
            return None;
        }
        let shown = self.fetched.replace(counters)?;
        let Some(last) = self.seen.replace(shown.clone()) else {
            self.cpu.push_back(shown);
            return None;
        };
        let wall = (shown.at_ms - last.at_ms) as f64;
        if wall <= 0.0 || shown.busy_ms < last.busy_ms {
            return None;
        }

        let mut worker_cpu_window = Duration::ZERO;
        if let Some(from) = self.cpu.front()
            && shown.at_ms - from.at_ms >= CPU_WINDOW_MS
        {
            let span = (shown.at_ms - from.at_ms) as f64;
            let shares = shown
                .used_ms
                .iter()
                .zip(&from.used_ms)
                .map(|(now, then)| (now - then) / span);
            self.worker_cpu = Some(Share::new(shares.fold(0.0, f64::max)));
            worker_cpu_window = Duration::from_millis(shown.at_ms - from.at_ms);
            self.cpu.clear();
            self.cpu.push_back(shown.clone());
        }
        Some(LaneLoad {
            valve_back_pressured: Some(Share::new((shown.blocked_ms - last.blocked_ms) / wall)),
            downstream_busy: Some(Share::new((shown.busy_ms - last.busy_ms) / wall)),
            worker_cpu: self.worker_cpu,
            worker_cpu_window,
            window: Duration::from_millis(shown.at_ms - last.at_ms),
            ..LaneLoad::default()
        })
    }
}
