"""A long run with a spike every minute: memory and file handles of every process, sampled, and whether they are flat."""

from __future__ import annotations

import os
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .conductor import Timeline
from .inject import Struck
from .reading import between
from .schedule import Schedule, Setup
from .world import World

_EVERY_S = 5.0
# Flat: the median of the last quarter is above that of the second quarter by no more than this. The first quarter is for
# warming up; medians, because a spike needs memory while it lasts, and the quarters have the same share of spikes.
_MORE_MEMORY, _MORE_MEMORY_KB = 0.10, 16 * 1024
_MORE_HANDLES = 8
# S3's stand-in keeps an entry for every object in memory, and the run adds objects all the time.
_MAY_GROW = ("s3",)
_SPIKE_FROM_S, _SPIKE_LASTS_S = 45, 15
# More than the local lane is given here, so that it runs over in mode `auto`.
_MINUTE = f"20k:{_SPIKE_FROM_S}s,180k:{_SPIKE_LASTS_S}s"

# Flink's heaps are there from the start, so that what is touched late does not look like growth.
FLINK_OPTIONS = {"env.java.opts.all": "-XX:+AlwaysPreTouch"}


def schedule(minutes: float) -> Schedule:
    """So many minutes, or a part of one, each with a spike and without faults."""
    whole = max(1, round(minutes))
    return Schedule(whole, "soak", Setup(profile=",".join([_MINUTE] * whole), checkpoint_ms=2_000, mode="auto"), ())


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    name: str
    at: float
    memory_kb: int
    handles: int


class Sampler:
    """Looks at every process every few seconds. Use as a context manager."""

    def __init__(self, world: World, every_s: float = _EVERY_S) -> None:
        self._world, self._every_s = world, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")
        self.samples: list[Sample] = []

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            now = time.monotonic()
            cluster = self._world.cluster()
            processes = [("jobmanager", [cluster["jobmanager_pid"]])]
            processes += [(f"taskmanager-{index}", [pid]) for index, pid in enumerate(cluster["taskmanager_pids"])]
            processes += [(part, self._world.pids(part)) for part in ("sidecar", "lambda", "s3")]
            # Instances come and go; the largest stands for all.
            processes.append(("function", self._world.functions()))
            for name, pids in processes:
                found = [seen for seen in map(_look, pids) if seen]
                if found:
                    self.samples.append(Sample(name, now, max(memory for memory, _ in found), max(handles for _, handles in found)))

    def check(self, world: World, schedule: Schedule, timeline: Timeline, _struck: list[Struck]) -> tuple[dict, list[str]]:
        """What grew, of the time of the input; and whether both lanes worked in each spike."""
        measured, wrong = self.grown(timeline.due, timeline.ends)
        starts = [timeline.due + minute * 60 + _SPIKE_FROM_S for minute in range(schedule.seed)]
        spikes = [between(world.proxy.reports, start, start + _SPIKE_LASTS_S) for start in starts]
        return measured | {"spikes": [[grown["kept"], grown["diverted"]] for grown in spikes]}, wrong + idle(spikes)

    def grown(self, start: float, end: float) -> tuple[dict, list[str]]:
        """What grew from the second quarter of a time to its last one."""
        measured, wrong = {}, []
        for name in sorted({sample.name for sample in self.samples}):
            of_it = [sample for sample in self.samples if sample.name == name]
            second, last = (_quarter(of_it, start, end, number) for number in (1, 3))
            if not second or not last:
                wrong.append(f"{name} was not there in the second or the last quarter")
                continue
            memory = [round(statistics.median(sample.memory_kb for sample in part)) for part in (second, last)]
            handles = [round(statistics.median(sample.handles for sample in part)) for part in (second, last)]
            measured[name] = {"memory_kb": memory, "handles": handles}
            if name not in _MAY_GROW and memory[1] > memory[0] * (1 + _MORE_MEMORY) and memory[1] > memory[0] + _MORE_MEMORY_KB:
                wrong.append(f"the memory of {name} grew from {memory[0]} kB to {memory[1]} kB")
            if handles[1] > handles[0] + _MORE_HANDLES:
                wrong.append(f"the file handles of {name} grew from {handles[0]} to {handles[1]}")
        return {"processes": measured, "samples": len(self.samples)}, wrong


def idle(spikes: list[dict[str, int]]) -> list[str]:
    """Spikes that one of the lanes had no part in."""
    return [f"in spike {number} nothing was {what}" for number, grown in enumerate(spikes, 1) for what in ("kept", "diverted") if grown[what] <= 0]


def _quarter(samples: list[Sample], start: float, end: float, number: int) -> list[Sample]:
    length = (end - start) / 4
    start += number * length
    return [sample for sample in samples if start <= sample.at < start + length]


def _look(pid: int) -> tuple[int, int] | None:
    """Resident memory in kB and open file handles; None if the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        handles = len(os.listdir(f"/proc/{pid}/fd"))
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), handles
    except (OSError, StopIteration):
        return None
