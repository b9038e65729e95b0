//! The local lane behind the valve, and the workers that it shares with the valve.
//!
//! A keyed exchange spreads records evenly over the lane's subtasks, so one queue stands for all of them, and
//! it moves at the pace of the slowest.

use super::model::Lane as Model;
use super::noise::Noise;
use super::processor::share_out;
use super::queue::{NOTHING, Portion, Queue};
use super::valve::{Batch, Intent, Valve};

/// A buffer of those that a subtask has: Flink gives each channel ten at most by default.
const BUFFERS: f64 = 10.0;
/// A worker's pace changes this often.
const JITTER_MS: u64 = 100;
/// How much of a worker's last deviation is left in the next one: neighbours do not come and go within
/// a tenth of a second.
const JITTER_KEEPS: f64 = 0.7;

/// One worker process.
#[derive(Debug)]
struct Worker {
    /// Time at work since it was started, in ms: what the just-in-time compiler goes by.
    worked_ms: f64,
    /// Whether it has diverted, for which new code had to be compiled.
    has_diverted: bool,
    /// Share of a processor that the just-in-time compiler would use now.
    compiling: f64,
    /// Deviation of its pace, as a natural logarithm.
    deviation: f64,
    /// Until then it stands still.
    stalled_until_ms: f64,
    next_stall_ms: f64,
    /// Processor time used since its start, in ms.
    used_ms: f64,
}

/// The lane and its workers.
#[derive(Debug)]
pub(crate) struct Lane {
    workers: Vec<Worker>,
    /// Subtasks of the valve, and as many of the lane.
    subtasks: usize,
    /// Records that can be read from the network buffers.
    queue: Queue,
    /// One for each subtask.
    readers: Vec<Reader>,
    last_flush_ms: u64,
    noise: Noise,
    demands: Vec<f64>,
    grants: Vec<f64>,
}

/// One of the lane's subtasks.
#[derive(Debug, Clone, Copy, Default)]
struct Reader {
    /// Records of its part of the queue that it is done with, while others are not with theirs: an even exchange
    /// hands each the same, and its buffers even out who is ahead.
    ahead: f64,
    /// Processor time that windows which have fired still need, in ms.
    firing_ms: f64,
    /// Time that it had something to do, in ms.
    busy_ms: f64,
}

/// What a record costs an ordinary worker, in ms of processor.
#[derive(Debug, Clone, Copy)]
struct Costs {
    /// Before the network buffers.
    source: f64,
    /// Behind them.
    lane: f64,
    /// If it is diverted.
    divert: f64,
}

/// A millisecond, and what holds in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) model: &'a Model,
    /// The valve's.
    pub(crate) options: &'a super::model::Valve,
    /// Records per second that the whole lane takes.
    pub(crate) capacity: f64,
    pub(crate) ms: u64,
}

/// What has left the local lane: when it was due, and how many.
pub(crate) type Done<'a> = &'a mut dyn FnMut(u64, f64);

impl Lane {
    pub(crate) fn new(model: &Model, subtasks: usize, now_ms: u64, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let workers = (0..model.workers).map(|_| Worker {
            worked_ms: 0.0,
            has_diverted: false,
            compiling: model.compile,
            deviation: 0.0,
            stalled_until_ms: 0.0,
            next_stall_ms: now_ms as f64 + wait(&mut noise, model.stall_every.as_secs_f64()),
            used_ms: 0.0,
        });
        Self {
            workers: workers.collect(),
            subtasks,
            queue: Queue::default(),
            readers: vec![Reader::default(); subtasks],
            last_flush_ms: now_ms,
            noise,
            demands: Vec::new(),
            grants: Vec::new(),
        }
    }

    /// What can be read from the network buffers.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Portion> {
        self.queue.iter()
    }

    /// Share of its processors that each worker has used since it was started, as a time in ms; and the
    /// time that the lane's subtasks had something to do.
    pub(crate) fn used_ms(&self) -> (impl Iterator<Item = f64> + '_, f64) {
        (
            self.workers.iter().map(|worker| worker.used_ms),
            self.readers
                .iter()
                .map(|reader| reader.busy_ms)
                .fold(0.0, f64::max),
        )
    }

    /// Lets a millisecond pass: valves and lane work as far as the processors go.
    pub(crate) fn tick(
        &mut self,
        now: Now<'_>,
        valves: &mut [Valve],
        sealed: &mut Vec<Batch>,
        done: Done<'_>,
    ) {
        let Now {
            model,
            capacity,
            ms: now_ms,
            ..
        } = now;
        self.unsettle(model, now_ms);
        self.flush(model, valves, now_ms);
        let (source_s, lane_s) = model.costs(capacity);
        // In ms a record, with an ordinary worker.
        let (source, lane) = (source_s * 1e3, lane_s * 1e3);
        let costs = Costs {
            source,
            lane,
            divert: (source + lane) * model.divert_cost,
        };
        for index in 0..self.workers.len().min(self.subtasks) {
            self.work(index, now, costs, valves, sealed);
        }
        let ahead = self.readers.iter().map(|reader| reader.ahead);
        let slowest = ahead.fold(f64::INFINITY, f64::min);
        for reader in &mut self.readers {
            reader.ahead -= slowest;
        }
        self.drain(slowest * self.subtasks as f64, valves, done);
    }

    /// Lets one worker work.
    fn work(
        &mut self,
        index: usize,
        now: Now<'_>,
        costs: Costs,
        valves: &mut [Valve],
        sealed: &mut Vec<Batch>,
    ) {
        let Now {
            model,
            options,
            ms: now_ms,
            ..
        } = now;
        let pace = self.workers[index].pace(model);
        let mine = (index..self.subtasks).step_by(self.workers.len());
        let worker = &mut self.workers[index];
        let intents: Vec<(usize, Intent)> = mine
            .map(|subtask| {
                let intent = valves[subtask].intend(now_ms, model.buffer_records, options);
                (subtask, intent)
            })
            .collect();
        let queued = self.queue.records() / self.subtasks as f64;
        let reading = costs.lane * pace;
        self.demands.clear();
        self.demands.extend(
            intents
                .iter()
                .map(|(_, intent)| (pace * costs.of(intent)).min(1.0)),
        );
        let readers = &mut self.readers;
        let wants = |reader: &Reader| (queued - reader.ahead).max(0.0) * reading + reader.firing_ms;
        self.demands.extend(
            intents
                .iter()
                .map(|(subtask, _)| wants(&readers[*subtask]).min(1.0)),
        );
        self.demands.push(worker.compiling);
        let supply = if now_ms as f64 <= worker.stalled_until_ms {
            0.0
        } else {
            model.cores * (1.0 - model.fixed)
        };
        let slice = u64::try_from(model.slice.as_millis()).unwrap_or(1).max(1);
        // The remainder is below the number of threads.
        #[expect(clippy::cast_possible_truncation)]
        let turn = (now_ms / slice % self.demands.len() as u64) as usize;
        share_out(supply, &self.demands, turn, &mut self.grants);

        let used: f64 = self.grants.iter().sum();
        let compiled = self.grants.last().copied().unwrap_or_default();
        worker.worked_ms += used - compiled;
        worker.used_ms += used + model.cores * model.fixed;
        worker.cool(model);
        for ((subtask, intent), granted) in intents.iter().zip(&self.grants) {
            let valve = &mut valves[*subtask];
            let busy = if pace * costs.of(intent) > granted + NOTHING {
                1.0
            } else {
                *granted
            };
            valve.counters.busy_ms += busy;
            if intent.blocked {
                valve.counters.blocked_ms += 1.0 - busy;
            }
            let affordable = costs.limit(*intent, granted / pace);
            worker.diverted(model, affordable.diverted);
            valve.act(affordable, now_ms, options, &mut |content| {
                sealed.push(Batch {
                    subtask: *subtask,
                    content,
                    sealed_ms: now_ms,
                });
            });
            if valve.backlog.is_empty() && now_ms >= valve.wakes_ms {
                valve.wakes_ms = now_ms + u64::try_from(model.nap.as_millis()).unwrap_or_default();
            }
        }
        let granted = &self.grants[intents.len()..];
        for ((subtask, _), granted) in intents.iter().zip(granted) {
            let reader = &mut readers[*subtask];
            let busy = wants(reader) > granted + NOTHING;
            reader.busy_ms += if busy { 1.0 } else { *granted };
            let fired = granted.min(reader.firing_ms);
            reader.firing_ms -= fired;
            reader.ahead += (granted - fired) / reading;
        }
    }

    /// The windows end: each subtask of the lane has to send on what it counted.
    pub(crate) fn fire(&mut self, model: &Model) {
        for reader in &mut self.readers {
            reader.firing_ms += model.window_fire.as_secs_f64() * 1e3;
        }
    }

    fn drain(&mut self, records: f64, valves: &mut [Valve], done: Done<'_>) {
        let taken = self
            .queue
            .take(records, |drop| done(drop.due_ms, drop.records));
        let buffered: f64 = valves.iter().map(|valve| valve.buffered).sum();
        if buffered > 0.0 {
            for valve in valves {
                valve.buffered = (valve.buffered * (1.0 - taken / buffered)).max(0.0);
            }
        }
    }

    /// Network buffers are sent on when they are full or the time-out comes.
    fn flush(&mut self, model: &Model, valves: &mut [Valve], now_ms: u64) {
        let due = now_ms
            >= self.last_flush_ms + u64::try_from(model.buffer_timeout.as_millis()).unwrap_or(1);
        for valve in valves.iter_mut() {
            if due || valve.filling.records() >= model.buffer_records / BUFFERS {
                self.queue.pour(&mut valve.filling);
            }
        }
        if due {
            self.last_flush_ms = now_ms;
        }
    }

    /// Moves each worker's chance along.
    fn unsettle(&mut self, model: &Model, now_ms: u64) {
        let every = model.stall_every.as_secs_f64();
        for worker in &mut self.workers {
            if now_ms.is_multiple_of(JITTER_MS) {
                let spread = model.jitter * (1.0 - JITTER_KEEPS * JITTER_KEEPS).sqrt();
                worker.deviation = JITTER_KEEPS * worker.deviation + spread * self.noise.bell();
            }
            if every > 0.0 && now_ms as f64 >= worker.next_stall_ms {
                let length = wait(&mut self.noise, model.stall.as_secs_f64())
                    .min(3e3 * model.stall.as_secs_f64());
                worker.stalled_until_ms = now_ms as f64 + length;
                worker.next_stall_ms = worker.stalled_until_ms + wait(&mut self.noise, every);
            }
        }
    }
}

impl Worker {
    /// What a record costs this worker now, relative to an ordinary one.
    fn pace(&self, model: &Model) -> f64 {
        let warm_up = model.warm_up.as_secs_f64() * 1e3;
        let cold = if warm_up > 0.0 {
            (model.cold_factor - 1.0) * (-self.worked_ms / warm_up).exp()
        } else {
            0.0
        };
        (1.0 + cold) * self.deviation.exp()
    }

    /// It has put records into batches; the first ones give the compiler something to do.
    fn diverted(&mut self, model: &Model, records: f64) {
        if records > 0.0 && !self.has_diverted {
            self.has_diverted = true;
            self.compiling += model.compile_diverting;
        }
    }

    /// A millisecond passes for the compiler.
    fn cool(&mut self, model: &Model) {
        let time = model.compile_time.as_secs_f64() * 1e3;
        self.compiling *= if time > 0.0 { (-1.0 / time).exp() } else { 0.0 };
    }
}

impl Costs {
    /// What `intent` takes, in ms.
    fn of(&self, intent: &Intent) -> f64 {
        (intent.back + intent.kept + intent.over) * self.source + intent.diverted * self.divert
    }

    /// As much of `intent` as `granted` ms of processor are enough for, in the valve's order.
    fn limit(&self, intent: Intent, granted: f64) -> Intent {
        let mut left = granted;
        let mut afford = |records: f64, cost: f64| {
            let affordable = if cost > 0.0 {
                records.min(left / cost)
            } else {
                records
            };
            left = (left - affordable * cost).max(0.0);
            affordable
        };
        Intent {
            back: afford(intent.back, self.source),
            kept: afford(intent.kept, self.source),
            diverted: afford(intent.diverted, self.divert),
            over: afford(intent.over, self.source),
            blocked: intent.blocked,
        }
    }
}

/// A time drawn as the next event of those that come every `mean_s` seconds on average, in ms.
fn wait(noise: &mut Noise, mean_s: f64) -> f64 {
    -(1.0 - noise.unit()).ln() * mean_s * 1e3
}
