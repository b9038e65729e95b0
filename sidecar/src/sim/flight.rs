//! A batch on its way through the cloud lane.

use super::valve::Batch;
use crate::decide::Moment;
use crate::divert::limit::Outcome;

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) batch: Batch,
    /// Its number, from which its pauses are drawn.
    pub(crate) number: u64,
    pub(crate) records: f64,
    /// Its size. It is sent compressed, which is in proportion.
    pub(crate) bytes: usize,
    pub(crate) stage: Stage,
    /// When the attempt that is under way began, if one is.
    pub(crate) begun: Option<Moment>,
    /// Attempts that failed since the last send.
    pub(crate) failed: u32,
    /// Its job has died, or it is a trial that was given back: nobody waits for the receipt.
    pub(crate) orphan: bool,
    /// The lane is shut, and this one finds out whether it has to be: since when.
    pub(crate) trial_since_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    /// On its way to the sidecar from then on.
    Sent { until_ms: u64 },
    /// Waits in the sidecar to be compressed, behind those with a smaller number.
    Waiting { turn: u64 },
    /// Is being compressed; processor time left in ms.
    Encoding { left_ms: f64 },
    /// Waits for a place, behind those with a smaller number.
    Queued { turn: u64 },
    /// In the function: fixed time left, processor time left, and how long it has been there.
    Running {
        fixed_ms: f64,
        left_ms: f64,
        took_ms: f64,
        cold: bool,
    },
    /// The attempt will have failed by then.
    Failing { until_ms: u64, failure: Failure },
    /// Nobody answers.
    Silent,
    /// Waits before the next attempt, and keeps nobody from trying.
    Pausing { until_ms: u64 },
    /// The next attempt would come too late.
    GivenUp,
}

/// What is wrong with an attempt that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The cloud cannot be reached.
    Refused,
    /// It has no instance for it, and if not `at_once`, cannot start one so soon.
    Throttled { at_once: bool },
}

impl Flight {
    /// A batch that is with the sidecar by `until_ms`.
    pub(crate) fn new(batch: Batch, number: u64, record_bytes: f64, until_ms: u64) -> Self {
        let records = batch.content.records();
        // Never negative, and far below 2^53.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bytes = (records * record_bytes) as usize;
        Self {
            records,
            bytes,
            batch,
            number,
            stage: Stage::Sent { until_ms },
            begun: None,
            failed: 0,
            orphan: false,
            trial_since_ms: None,
        }
    }

    /// What its answer, which is there, says of the cloud's capacity: a cold start says nothing.
    pub(crate) fn answered(&self, now: Moment) -> Outcome {
        match (self.stage, self.begun) {
            (Stage::Running { cold: false, .. }, Some(begun)) => Outcome::Took {
                time: now.since(begun),
                bytes: self.bytes,
            },
            _ => Outcome::Other,
        }
    }

    /// Whether it is at the cloud, and nothing has come back.
    pub(crate) fn waits_for_an_answer(&self) -> bool {
        matches!(self.stage, Stage::Silent | Stage::Running { .. })
    }

    /// A trial that has gone back to its valve.
    pub(crate) fn is_given_back(&self) -> bool {
        self.orphan && self.trial_since_ms.is_some()
    }

    /// Whether it has one of the places that the limiter allows: a trial needs none.
    pub(crate) fn holds_a_place(&self) -> bool {
        self.trial_since_ms.is_none()
            && matches!(
                self.stage,
                Stage::Failing { .. } | Stage::Silent | Stage::Running { .. }
            )
    }

    /// Whether it is one of those that are compressed ahead: a trial is not.
    pub(crate) fn is_ahead(&self) -> bool {
        self.trial_since_ms.is_none()
            && matches!(self.stage, Stage::Encoding { .. } | Stage::Queued { .. })
    }

    /// Whether a processor works on it.
    pub(crate) fn computes(&self) -> bool {
        match self.stage {
            Stage::Encoding { .. } => true,
            Stage::Running {
                fixed_ms, left_ms, ..
            } => fixed_ms <= 0.0 && left_ms > 0.0,
            _ => false,
        }
    }

    /// Whether it has its receipt.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(
            self.stage,
            Stage::Running { fixed_ms, left_ms, .. } if fixed_ms <= 0.0 && left_ms <= 0.0
        )
    }
}
