"""The cloud lane at a stand-still under a spike that the local lane cannot take: memory, checkpoints, and what it costs the lane."""

from __future__ import annotations

import math
import statistics
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from demo.errors import EX_SOFTWARE, DemoError
from demo.processes import wait_until

from . import soak
from .conductor import Outcome, Timeline, conduct
from .flink import CheckpointTime, Refused
from .inject import Struck
from .job import Job
from .schedule import Fault, Schedule, Setup
from .world import World

# What issue 4 of the project demands.
_CHECKPOINTS_AT_MOST, _THROUGHPUT_AT_LEAST = 2.0, 0.95
# The jobs run as fast as they can: a spike of any height cannot ask for more. Before and after the one in question there are
# one without Spillway and one with Spillway in mode `local`, in one JVM, which a first one has warmed up.
_BESIDE_S, _WARM_UP_SHARE = 40, 0.3
# The cloud works at first, and again in the end.
_BEFORE_S, _AFTER_S = 12, 10
# While the cloud works, the source is so much faster than without, or less.
_FASTER = 6
# The same while it stands still: the machine may be quicker than when it was tried out, and the input must not end before.
_MARGIN = 1.5
_LOOK_S = 0.5
# A first guess at what a core takes, only to say how long the first run is.
_GUESS_PER_S = 250_000

FLINK_OPTIONS = soak.FLINK_OPTIONS | {"web.checkpoints.history": "2000"}
_PLAIN, _IDLE = "plain", "idle"
_SETUP = Setup(checkpoint_ms=1_000, batch_deadline_ms=5_000)


@dataclass(frozen=True)
class Reading:
    """How many words the local lane's tokenizer had handed on."""

    at: float
    words: int


class Meter:
    """Reads twice a second what the local lane has done. Words, since Flink counts them at the same place with and without a valve."""

    def __init__(self, world: World, job_name: str) -> None:
        self._world, self._name = world, job_name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter")
        self.readings: list[Reading] = []

    def __enter__(self) -> "Meter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        job = None
        while not self._stop.wait(_LOOK_S):
            try:
                job = job or self._world.flink.newest(self._name)
            except Refused:
                continue
            at = time.monotonic()
            words = self._world.flink.handed_on(job, "replay") if job else None
            # Flink refreshes it now and then.
            if words and (not self.readings or words > self.readings[-1].words):
                self.readings.append(Reading(at, words))

    def rate(self, start: float, end: float) -> float:
        """Words a second in between."""
        within = [reading for reading in self.readings if start <= reading.at <= end]
        if len(within) < 3:
            raise DemoError(EX_SOFTWARE, f"only {len(within)} readings in {end - start:.0f} s")
        return (within[-1].words - within[0].words) / (within[-1].at - within[0].at)


@dataclass(frozen=True)
class Beside:
    """A run to compare with."""

    words_per_s: float
    records_per_s: float
    checkpoints: list[CheckpointTime]


def run(world: World, minutes: float, input_file: Path, say: Callable[[str], None]) -> Outcome:
    """The cloud at a stand-still for so long, and what it is compared with."""
    def beside(of: str, number: int, per_s: float) -> Beside:
        return _beside(world, Schedule(number, of, replace(_SETUP, mode="local", profile=_profile(per_s, _BESIDE_S)), ()), input_file, say)

    with world.placement.out_of_the_way():
        per_s = beside(_IDLE, 0, _GUESS_PER_S).records_per_s
        plain, idle = [beside(_PLAIN, 1, per_s)], [beside(_IDLE, 1, per_s)]
        outcome = _still(world, minutes, input_file, max(per_s, plain[0].records_per_s), say)
        if outcome.good:
            idle.append(beside(_IDLE, 2, per_s))
            plain.append(beside(_PLAIN, 2, per_s))
            compare(outcome, plain, idle)
    return outcome


def _beside(world: World, schedule: Schedule, input_file: Path, say: Callable[[str], None]) -> Beside:
    valve = schedule.of == _IDLE
    world.settle()
    if valve:
        world.configure_sidecar(schedule)
        world.start("sidecar")
    job = Job(world, schedule, input_file, time.time_ns() // 1_000_000, say, paced=False, valve=valve)
    with Meter(world, schedule.name) as meter:
        began = time.monotonic()
        job.submit()
        if not wait_until(lambda: job.state() in ("FINISHED", "FAILED", "CANCELED"), 4 * _BESIDE_S, 0.5) or job.state() != "FINISHED":
            raise DemoError(EX_SOFTWARE, f"{schedule.name} did not finish: {job.state()}; {world.flink.cause(str(job.id))}")
    last = meter.readings[-1]
    middle = [reading for reading in meter.readings if reading.words >= _WARM_UP_SHARE * last.words]
    words_per_s = meter.rate(middle[0].at, last.at - 1)
    records = int(schedule.setup.profile.split(":")[0]) * _BESIDE_S
    since_ms = time.time_ns() // 1_000_000 - round((time.monotonic() - middle[0].at) * 1_000)
    times = [one for one in world.flink.checkpoint_times(str(job.id)) if one.began_ms >= since_ms]
    found = Beside(words_per_s, words_per_s * records / last.words, times)
    say(f"{schedule.name}: {found.records_per_s:,.0f} records/s, checkpoints {_describe(_took(times))}; {time.monotonic() - began:.0f} s")
    return found


def _profile(per_s: float, seconds: float) -> str:
    return f"{round(per_s)}:{round(seconds)}s"


def _still(world: World, minutes: float, input_file: Path, per_s: float, say: Callable[[str], None]) -> Outcome:
    lasts_s = minutes * 60
    setup = replace(_SETUP, profile=_profile(per_s, _FASTER * _BEFORE_S + _MARGIN * lasts_s + _AFTER_S))
    schedule = Schedule(round(minutes * 60), "standstill", setup, (Fault(_BEFORE_S * 1_000, "stop_lambda", round(lasts_s * 1_000)),))
    with soak.Sampler(world, min(5.0, lasts_s / 20)) as sampler, Meter(world, schedule.name) as meter:
        def check(_world: World, _schedule: Schedule, timeline: Timeline, struck: list[Struck]) -> tuple[dict, list[str]]:
            began, ended = timeline.faults[0]
            measured, wrong = sampler.grown(began, ended)
            if not struck[0].times:
                wrong.append("Lambda was not there to be stopped")
            if meter.readings[-1].at < ended:
                wrong.append(f"the input ended {ended - meter.readings[-1].at:.0f} s before the stand-still did")
                return measured, wrong
            # What was diverted before comes back within its deadline.
            settled = began + schedule.setup.batch_deadline_ms / 1_000 + 1
            due_ms = timeline.due_wall_ms
            start_ms, end_ms = (due_ms + (at - timeline.due) * 1_000 for at in (settled, ended))
            times = world.flink.checkpoint_times(str(world.flink.newest(schedule.name)))
            times = [one for one in times if start_ms <= one.began_ms < end_ms]
            return measured | {"words_per_s": round(meter.rate(settled, ended)), "checkpoint_ms": [one.took_ms for one in times],
                               "checkpoints_bad": sum(one.status != "COMPLETED" for one in times)}, wrong

        return conduct(world, schedule, input_file, say, check, paced=False)


def compare(outcome: Outcome, plain: list[Beside], idle: list[Beside]) -> None:
    """Judges the local lane's throughput and the checkpoints by those of a job without Spillway."""
    found = outcome.measured
    words_per_s = found.pop("words_per_s")
    share = words_per_s / statistics.mean(one.words_per_s for one in plain)
    usual = _took([time for one in plain for time in one.checkpoints])
    still = sorted(found.pop("checkpoint_ms"))
    found |= {
        "records_per_s_without": [round(one.records_per_s) for one in plain], "records_per_s_local": [round(one.records_per_s) for one in idle],
        "throughput_to_without": round(share, 3), "throughput_to_local": round(words_per_s / statistics.mean(one.words_per_s for one in idle), 3),
        "checkpoints_without_ms": _quantiles(usual), "checkpoints_ms": _quantiles(still),
    }
    if share < _THROUGHPUT_AT_LEAST:
        outcome.wrong.append(f"the local lane did {share:.1%} of what it does without Spillway")
    if found["checkpoints_bad"]:
        outcome.wrong.append(f"{found['checkpoints_bad']} checkpoints did not complete")
    for name, usually in _quantiles(usual).items():
        if name in ("p50", "p95") and _quantiles(still)[name] > _CHECKPOINTS_AT_MOST * usually:
            outcome.wrong.append(f"checkpoints took {_quantiles(still)[name]} ms ({name}), without Spillway {usually} ms")


def _took(times: list[CheckpointTime]) -> list[int]:
    return sorted(one.took_ms for one in times if one.status == "COMPLETED")


def _quantiles(took: list[int]) -> dict[str, int]:
    """Of sorted times; none of no times."""
    if not took:
        raise DemoError(EX_SOFTWARE, "no checkpoint completed")
    at = {name: took[min(len(took) - 1, math.ceil(share * len(took)) - 1)] for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}
    return {"n": len(took)} | at


def _describe(took: list[int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in _quantiles(took).items()) + f" ms, mean {statistics.mean(took):.0f} ms"
