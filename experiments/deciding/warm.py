"""The schedule and the judgement of capacity.py --warm: what a sidecar that has just been started tells of a warm lane."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Iterable

# A job that shows what the lane takes today, up to when, and of that the part that counts. It is canceled then, with all that piled up.
TRY, TRY_S, _TRIED_S = "50k:5s,400k:60s", 45, 10
# A JVM that has compiled nothing yet takes this share of the load that its warm lane is near.
_COLD, _COLD_S = 0.5, 10
# How long the lane is saturated at first, for the compiler to be done, and of that the part that counts: the end.
WARM_UP_S, _WARM_S = 60, 15
# A little more than the lane takes, so that what piles up is soon gone.
_FLOOD = 1.3
# What piled up has to be gone before a load is held; meanwhile hardly anything new is due.
_REST, _FIRST_REST_S, _REST_S = 0.1, 30, 12
# Of a saturated part its first seconds are left out: the buffers fill.
_FILLING_S = 2
# The "after 10 s".
SETTLED_S = 10
# A flood of which more than this is taken has not saturated the lane.
_LESS = 0.97
# The "at least 50 % load".
_LEAST_LOAD = 0.5
# A hold during which records are still later than this is none.
_LATE_S = 0.5


@dataclass(frozen=True)
class Part:
    """A stretch of constant rate; times in seconds since the first record was due."""

    kind: str
    rate: int
    start_s: int
    end_s: int


def parts(near: float, loads: Iterable[float], hold_s: int, flood_s: int) -> list[Part]:
    """The JVM warms up, is saturated; then each load is held and saturated right after."""
    steps = [("cold", _COLD, _COLD_S), ("flood", _FLOOD, WARM_UP_S), ("rest", _REST, _FIRST_REST_S)]
    for load in loads:
        steps += [("hold", load, hold_s), ("flood", _FLOOD, flood_s), ("rest", _REST, _REST_S)]
    found, start = [], 0
    for kind, share, seconds in steps:
        found.append(Part(kind, round(near * share), start, start + seconds))
        start += seconds
    return found


def profile(found: Iterable[Part]) -> str:
    """As the job takes it."""
    return ",".join(f"{part.rate}:{part.end_s - part.start_s}s" for part in found)


def tried(samples: list[dict], due_start_ms: int) -> float:
    """What the lane took in the end."""
    return rate([one for one in samples if TRY_S - _TRIED_S <= (one["report_ms"] - due_start_ms) / 1000 <= TRY_S], "kept")


def judge(samples: list[dict], due_start_ms: int, found: list[Part]) -> dict:
    """Each hold's estimate against what the lane was measured to take right before and right after."""
    def second(sample: dict) -> float:
        return (sample["report_ms"] - due_start_ms) / 1000

    def between(start_s: float, end_s: float) -> list[dict]:
        return [one for one in samples if start_s <= second(one) <= end_s]

    def counted(flood: Part) -> list[dict]:
        return between(max(flood.start_s + _FILLING_S, flood.end_s - _WARM_S), flood.end_s)

    def row(index: int) -> dict:
        hold = found[index]
        floods = (_flood_before(found, index), found[index + 1])
        before, after = (rate(counted(part), "kept") for part in floods)
        # A lane that takes all that is due is not saturated.
        saturated = all(rate(counted(part), "received") < _LESS * part.rate for part in floods)
        mean = (before + after) / 2
        whole, settled = between(hold.start_s, hold.end_s), between(hold.start_s + SETTLED_S, hold.end_s)
        told = [one["capacity_per_s"] for one in settled if one["capacity_per_s"]]
        first = settled[0]["capacity_per_s"]
        share = rate(settled, "received") / mean
        late_s = (due(found, second(whole[0])) - whole[0]["received"]) / hold.rate
        cpu = rate(settled, "cpu_ns") / 1e9
        return {
            "rate_per_s": round(rate(settled, "received")), "of_saturation": round(share, 3),
            "saturation_before_per_s": round(before), "saturation_after_per_s": round(after), "cpu": round(cpu, 3),
            "compiling": round(compiling(whole), 3), "late_at_start_s": round(late_s, 2), "saturated": saturated,
            "fair": late_s < _LATE_S and saturated and share >= _LEAST_LOAD,
            "after_10_s": first and round(first), "after_10_s_over_saturation": first and round(first / mean, 3),
            "after_10_s_over_before_and_after": first and [round(first / before, 3), round(first / after, 3)],
            "later_over_saturation": told and [round(f(told) / mean, 3) for f in (min, statistics.median, max)],
        }

    return {"holds": [row(index) for index, part in enumerate(found) if part.kind == "hold"]}


def _flood_before(found: list[Part], index: int) -> Part:
    return next(part for part in reversed(found[:index]) if part.kind == "flood")


def due(found: Iterable[Part], second: float) -> float:
    """Records that were due by then."""
    return sum(part.rate * min(max(second - part.start_s, 0), part.end_s - part.start_s) for part in found)


def rate(samples: list[dict], field: str) -> float:
    """By how much a counter grew a second."""
    first, last = samples[0], samples[-1]
    return (last[field] - first[field]) / (last["report_ms"] - first["report_ms"]) * 1000


def compiling(samples: list[dict]) -> float:
    """Share of a processor that the just-in-time compiler took; threads that have ended by the end are not counted."""
    first, last = samples[0], samples[-1]
    spent = sum(ms - first["threads_ms"].get(kind, 0) for kind, ms in last["threads_ms"].items() if "Compiler" in kind)
    return spent / (last["report_ms"] - first["report_ms"])
