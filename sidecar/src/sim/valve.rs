//! One subtask of the valve with its source: `flink-job/valve` in fluid.

use spillway_core::directive::Directive;

use super::model::Valve as Options;
use super::queue::{NOTHING, Portion, Queue};

/// Depth of the token bucket (`TokenBucket.java`).
const BUCKET_S: f64 = 0.05;
/// The output counts as congested when this share of its buffers is in use (`BufferedOutput.java`).
const CONGESTED: f64 = 0.75;

/// A batch that is full or has waited long enough.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) subtask: usize,
    pub(crate) content: Queue,
    pub(crate) sealed_ms: u64,
}

/// Counters since the start of the attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counters {
    pub(crate) received: f64,
    pub(crate) to_local: f64,
    pub(crate) to_cloud: f64,
    pub(crate) unavailable_ms: f64,
    /// Time in which the thread had something to do, in ms.
    pub(crate) busy_ms: f64,
    /// Time in which it waited for room in its output, in ms.
    pub(crate) blocked_ms: f64,
}

/// A subtask.
#[derive(Debug, Default)]
pub(crate) struct Valve {
    /// Due and not yet read by the source.
    pub(crate) backlog: Queue,
    /// Returned by the cloud, to go down the local lane.
    pub(crate) returned: Queue,
    /// In the network buffer that is being filled.
    pub(crate) filling: Queue,
    /// Everything that was read since the last checkpoint.
    pub(crate) since_checkpoint: Queue,
    /// In the network buffers, the one being filled included.
    pub(crate) buffered: f64,
    pub(crate) counters: Counters,
    /// Batches sealed and not settled.
    pub(crate) unsettled: u32,
    /// Of these: returned, and not yet down the local lane.
    bounced: u32,
    /// The most credits that there were: no more than one batch beyond them is held.
    most_credits: u32,
    directive: Option<Directive>,
    expires_ms: u64,
    tokens: f64,
    open: Queue,
    opened_ms: u64,
    /// Until then the source sleeps.
    pub(crate) wakes_ms: u64,
    was_congested: bool,
    /// When a record was last put into a batch.
    pub(crate) diverted_ms: Option<u64>,
}

/// What a subtask would do next, had it all the processor it wants.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Intent {
    /// Returned records that find room.
    pub(crate) back: f64,
    /// Records with a token.
    pub(crate) kept: f64,
    pub(crate) diverted: f64,
    /// Records with neither token nor credit.
    pub(crate) over: f64,
    /// Whether records are left for which there is no room.
    pub(crate) blocked: bool,
}

impl Valve {
    /// A directive has arrived.
    pub(crate) fn direct(&mut self, directive: Directive, now_ms: u64) {
        if self.diverting(now_ms) {
            self.tokens = self.tokens.min(depth(&directive));
        } else {
            // A bucket that was unlimited is full.
            self.tokens = depth(&directive);
        }
        if directive.divert {
            self.most_credits = self.most_credits.max(directive.credits);
        }
        self.expires_ms = now_ms + u64::from(directive.lease_ms);
        self.directive = Some(directive);
    }

    fn diverting(&self, now_ms: u64) -> bool {
        now_ms < self.expires_ms && self.directive.as_ref().is_some_and(|told| told.divert)
    }

    /// A millisecond has passed: the bucket fills, congestion is noted.
    pub(crate) fn tick(&mut self, buffer: f64) {
        if let Some(told) = &self.directive {
            let rate = told.local_rate.unwrap_or(f64::INFINITY);
            self.tokens = (self.tokens + rate / 1e3).min(depth(told));
        }
        let congested = self.buffered > CONGESTED * buffer;
        if congested && self.was_congested {
            self.counters.unavailable_ms += 1.0;
        }
        self.was_congested = congested;
    }

    /// What would be done with everything that waits.
    pub(crate) fn intend(&self, now_ms: u64, buffer: f64, options: &Options) -> Intent {
        let mut room = (buffer - self.buffered).max(0.0);
        let back = self.returned.records().min(room);
        room -= back;
        let waiting = if now_ms < self.wakes_ms {
            0.0
        } else {
            self.backlog.records()
        };
        let mut intent = Intent {
            back,
            ..Intent::default()
        };
        if self.diverting(now_ms) {
            let calm = (CONGESTED * buffer - self.buffered - back).max(0.0);
            // The last buffers are left alone, for a task without any is suspended.
            room = calm;
            intent.kept = waiting.min(self.tokens.max(0.0)).min(calm);
            intent.diverted = (waiting - intent.kept).min(self.credit(options));
        }
        let rest = waiting - intent.kept - intent.diverted;
        intent.over = rest.min(room - intent.kept).max(0.0);
        intent.blocked = rest - intent.over > NOTHING || self.returned.records() - back > NOTHING;
        intent
    }

    /// Records that fit into the open batch and those that there is credit for.
    fn credit(&self, options: &Options) -> f64 {
        let credits = self.directive.as_ref().map_or(0, |told| told.credits);
        let size = batch_size(options);
        let in_flight = self.unsettled - self.bounced;
        let held = (self.most_credits + 1).saturating_sub(self.unsettled);
        let free = f64::from(credits.saturating_sub(in_flight).min(held));
        if self.open.is_empty() {
            free * size
        } else {
            // The open batch becomes unsettled before another one is opened.
            (size - self.open.records()).max(0.0) + (free - 1.0).max(0.0) * size
        }
    }

    /// Does what `intent` says, in this order; gives back what was put into batches that are now full.
    pub(crate) fn act(
        &mut self,
        intent: Intent,
        now_ms: u64,
        options: &Options,
        seal: &mut impl FnMut(Queue),
    ) {
        let Self {
            returned,
            filling,
            backlog,
            since_checkpoint,
            ..
        } = self;
        let back = returned.take(intent.back, |drop| filling.push(drop));
        if returned.is_empty() {
            self.unsettled -= std::mem::take(&mut self.bounced);
        }
        let keep = intent.kept + intent.over;
        let kept = backlog.take(keep, |drop| {
            filling.push(drop);
            since_checkpoint.push(drop);
        });
        if let Some(told) = &self.directive {
            // What is returned spends tokens, on credit if need be; what goes local for want of credit
            // does not.
            self.tokens = (self.tokens - back - kept.min(intent.kept)).max(-depth(told));
        }
        self.buffered += back + kept;
        self.counters.to_local += back + kept;
        self.counters.received += kept;

        let mut left = intent.diverted;
        while left > NOTHING {
            if self.open.is_empty() {
                self.opened_ms = now_ms;
            }
            let room = batch_size(options) - self.open.records();
            let (open, log) = (&mut self.open, &mut self.since_checkpoint);
            let taken = self.backlog.take(left.min(room), |drop| {
                open.push(drop);
                log.push(drop);
            });
            if taken <= 0.0 {
                break;
            }
            left -= taken;
            self.counters.received += taken;
            self.counters.to_cloud += taken;
            self.diverted_ms = Some(now_ms);
            if self.open.records() >= batch_size(options) - NOTHING {
                self.unsettled += 1;
                seal(std::mem::take(&mut self.open));
            }
        }
    }

    /// Seals the open batch if its first record has waited long enough.
    pub(crate) fn linger(&mut self, now_ms: u64, options: &Options) -> Option<Queue> {
        let over = !self.open.is_empty()
            && now_ms >= self.opened_ms + u64::try_from(options.linger.as_millis()).ok()?;
        over.then(|| {
            self.unsettled += 1;
            std::mem::take(&mut self.open)
        })
    }

    /// A batch has its receipt.
    pub(crate) fn settled(&mut self) {
        self.unsettled = self.unsettled.saturating_sub(1);
    }

    /// A batch came back unprocessed.
    pub(crate) fn bounced(&mut self, content: &mut Queue) {
        self.returned.pour(content);
        self.bounced += 1;
    }

    /// A checkpoint was made. What is in no receipt is in it, so only what was read since is read again.
    pub(crate) fn checkpoint(&mut self) {
        self.since_checkpoint = Queue::default();
    }

    /// The job died: what was read since the last checkpoint is read again.
    pub(crate) fn restart(&mut self) -> Self {
        let mut backlog = Queue::default();
        backlog.pour(&mut self.since_checkpoint);
        backlog.pour(&mut self.backlog);
        Self {
            backlog,
            ..Self::default()
        }
    }

    /// What it has that goes down the local lane: unread, returned, and in the buffer that fills.
    pub(crate) fn for_the_lane(&self) -> impl Iterator<Item = &Portion> {
        [&self.backlog, &self.returned, &self.filling]
            .into_iter()
            .flat_map(Queue::iter)
    }

    /// What it has in its open batch.
    pub(crate) fn for_the_cloud(&self) -> impl Iterator<Item = &Portion> {
        self.open.iter()
    }

    /// Records in the open batch and in those returned.
    pub(crate) fn held(&self) -> f64 {
        self.open.records() + self.returned.records()
    }
}

fn depth(told: &Directive) -> f64 {
    match told.local_rate {
        None => f64::INFINITY,
        Some(rate) if rate <= 0.0 => 0.0,
        Some(rate) => (rate * BUCKET_S).max(1.0),
    }
}

fn batch_size(options: &Options) -> f64 {
    (options.batch_bytes / options.record_bytes)
        .min(options.batch_records)
        .max(1.0)
}

/// Adds what arrives.
pub(crate) fn arrive(valve: &mut Valve, due_ms: u64, records: f64) {
    valve.backlog.push(Portion { due_ms, records });
}
