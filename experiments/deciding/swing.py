"""A load that swings around the controller's own engage threshold: what it is made of, and what a trace says of it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Iterable

# For the JVM to compile both ways of a record: half a load, a spike, and the rest until the mode is armed again.
_WARM_UP = ((0.5, 12), (1.6, 12), (0.3, 10))
BY, HALF_PERIOD_MS = 0.1, 2_500


def profile(near: float, threshold: float, swing_s: int) -> str:
    """A warm-up for a lane that takes about `near`, then the swing around `threshold`."""
    warm = [f"{round(near * share)}:{seconds}s" for share, seconds in _WARM_UP]
    halves = swing_s * 1_000 // HALF_PERIOD_MS
    return ",".join([*warm, *(f"{round(threshold * (1 + BY * (-1) ** number))}:{HALF_PERIOD_MS}ms" for number in range(halves))])


def warm_up_s() -> int:
    """How long the warm-up takes."""
    return sum(seconds for _, seconds in _WARM_UP)


def engage_threshold(decision: dict, policy: dict) -> float | None:
    """Records/s above which the controller engages after this decision; None as long as the capacity is not known.

    That of an armed valve is its local rate, and so it is when a spike is over but the mode may not change yet. In a spike
    it is at least what the capacity says (docs/controller.md, "Local rate"); what was shown of late is not in a trace.
    """
    capacity = decision["capacity"]
    if capacity is None:
        return None
    if decision["mode"] == "armed" or "over by now" in decision["reason"]:
        return decision["local_rate_per_s"]
    generous = capacity["per_s"] if capacity["measured"] else min(capacity["high_per_s"], 2 * capacity["per_s"])
    return generous * policy["engage_utilization"]


def decisions(trace: Path) -> Iterable[tuple[dict, dict]]:
    """Each decision on a report, as the trace's step, with the policy of the time."""
    policy = None
    with open(trace, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            policy = entry.get("policy", policy)
            step = entry.get("step")
            if step and "report" in step["observation"]:
                yield step, policy


def over_time(steps: Iterable[tuple[dict, dict]], every_ms: int = 500) -> list[dict]:
    """Load, threshold and mode, as of the first report in each of `every_ms`."""
    rows, last = [], None
    for step, policy in steps:
        slot = step["wall_ms"] // every_ms
        decision = step["decision"]
        if slot == last or not decision["arrival_per_s"]:
            continue
        last = slot
        threshold = engage_threshold(decision, policy)
        rows.append({"wall_ms": step["wall_ms"], "arrival_per_s": round(decision["arrival_per_s"]),
                     "engage_threshold_per_s": threshold and round(threshold), "mode": decision["mode"]})
    return rows


def judge(rows: list[dict], changes_ms: Iterable[int], swing: tuple[int, int]) -> dict:
    """What happened between the swing's start and end, both as wall clock in ms; nothing if no capacity was known then."""
    start, end = swing
    seen = [row for row in rows if start <= row["wall_ms"] < end and row["engage_threshold_per_s"]]
    changes = [at for at in changes_ms if start <= at < end]
    if not seen:
        return {}
    minutes = (end - start) / 60_000
    over = [row["arrival_per_s"] > row["engage_threshold_per_s"] for row in seen]
    thresholds = [row["engage_threshold_per_s"] for row in seen]
    return {
        "minutes": round(minutes, 2), "changes": len(changes), "changes_a_minute": round(len(changes) / minutes, 2),
        "most_in_a_minute": max((sum(at <= other < at + 60_000 for other in changes) for at in changes), default=0),
        "changes_at_s": [round((at - start) / 1_000, 1) for at in changes],
        "load_above_threshold": round(sum(over) / len(over), 3), "load_below_threshold": round(1 - sum(over) / len(over), 3),
        "crossings": sum(one != other for one, other in zip(over, over[1:])),
        "threshold_per_s": [round(f(thresholds)) for f in (min, statistics.median, max)],
    }
