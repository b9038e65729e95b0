"""report.json: every number of a run as it was measured, and null for what there is no number of."""

from __future__ import annotations

import statistics
from pathlib import Path

from . import build, samples, services
from .machine import Placement
from .options import Options
from .verdict import Verdict
from .watch import Watch

_PHASES = ("baseline", "spike", "after")
_MEASURES = ("count", "p50", "p99", "max")
# A lane whose records wait that long has all the work it can do.
_BEHIND_MS = 1_000
# AWS list prices, us-east-1, x86.
_USD_PER_GB_SECOND = 0.0000166667
_USD_PER_REQUEST = 0.20 / 1e6
_USD_PER_PUT = 0.005 / 1e3


def make(
    options: Options, placement: Placement, verdict: Verdict, watch: Watch, latencies: dict, cloud: dict,
    job: services.Job, input_file: Path,
) -> dict:
    """The whole report. docs/report.md explains each field."""
    status, balance, phases = watch.samples.last_status, verdict.balance, options.phases
    episodes = watch.samples.episodes
    reaction = release = None
    if phases.spike_start_ms is not None and options.burst == "on":
        spike_start, spike_end = (job.due_start_ms + offset for offset in (phases.spike_start_ms, phases.spike_end_ms))
        reaction = samples.reaction_ms(episodes, spike_start)
        release = samples.release_ms(episodes, spike_start, spike_end)
    divert, function = status.get("divert") or {}, status.get("function") or {}
    timeline = _timeline(options, watch, latencies, job)
    capacity, capacity_from = _capacity(options, watch, timeline)
    return {
        "run": {
            "burst": options.burst, "workload": options.workload, "profile": options.profile_spec, "input": str(input_file),
            "event_start_ms": services.EVENT_START_MS, "due_start_ms": job.due_start_ms,
            "took_ms": watch.finished_ms - job.due_start_ms, "profile_ms": phases.end_ms,
            "placement": placement.describe(), "taskmanager_killed_at_ms": watch.kill_ms, "restarts": watch.restarts,
        },
        "records": {name: balance[name] for name in ("received", "kept", "diverted", "bounced", "late", "malformed")},
        "balance": {name: balance[name] for name in ("windows", "open", "lost", "duplicated", "orphans")},
        "oracle": {"match": verdict.oracle_match, "records": verdict.oracle_records},
        "latency_ms": {lane: _phases(latencies.get(lane) or {}) for lane in ("local", "cloud")},
        "latency_sampling": {"local": f"one in {services.LATENCY_SAMPLE} words", "cloud": "every record"},
        "reaction_ms": reaction,
        "release_ms": release,
        "local_capacity_per_s": round(capacity) if capacity else None,
        "local_capacity_from": capacity_from,
        "spike_rate_per_s": phases.spike_rate_per_s,
        "divert": {name: divert.get(name) for name in ("batches", "failed", "retries", "throttled", "p50_ms", "p99_ms")},
        "function": {name: function.get(name) for name in ("invocations", "cold_starts", "ns_per_record")}
        | {"billed_ms": cloud["billed_ms"], "init_ms": _median(cloud["init_ms"]), "binary_bytes": build.BINARIES["spillway-burst"].stat().st_size, "memory_mb": services.MEMORY_MB},
        "cost_usd": _cost(cloud, balance["diverted"]),
        "result": {
            "rows": verdict.rows, "sha256_of_canonical_csv": verdict.sha256, "uri": f"{services.LOCATION}/final/",
            "csv": str(options.out / "final.csv"),
        },
        "timeline": timeline,
        "local_cloud": cloud,
    }


def _capacity(options: Options, watch: Watch, timeline: list[dict]) -> tuple[float | None, str | None]:
    """What the local lane can take, and how that is known.

    With `--burst off` a spike that the lane falls behind in is a measurement; else there is the
    sidecar's estimate.
    """
    phases = options.phases
    if options.burst == "off" and phases.spike_start_ms is not None:
        spike = [row for row in timeline if phases.spike_start_ms <= row["offset_s"] * 1_000 < phases.spike_end_ms]
        behind = [row["kept_per_s"] for row in spike if (row["p99_local_ms"] or 0) > _BEHIND_MS]
        if behind:
            return sum(behind) / len(behind), f"the local lane saturated, {len(behind)} s of the spike"
    estimate = watch.samples.capacity_per_s
    return estimate, "the sidecar's last estimate" if estimate else None


def _median(measured: list[float]) -> float | None:
    return round(statistics.median(measured), 3) if measured else None


def _phases(lane: dict) -> dict:
    empty = dict.fromkeys(_MEASURES)
    return {phase: {name: (lane.get(phase) or empty).get(name) for name in _MEASURES} for phase in _PHASES}


def _cost(cloud: dict, diverted: int) -> dict:
    """AWS list price of every invocation that ran, each with one PUT, also of those that nobody waited for any more; per
    million diverted records, null if there are none."""
    gb_seconds = cloud["billed_ms"] / 1e3 * services.MEMORY_MB / 1024
    compute = gb_seconds * _USD_PER_GB_SECOND + cloud["invocations"] * _USD_PER_REQUEST
    puts = cloud["invocations"] * _USD_PER_PUT
    return {"lambda": compute, "s3_puts": puts, "per_million_records": (compute + puts) / diverted * 1e6 if diverted else None}


def _timeline(options: Options, watch: Watch, latencies: dict, job: services.Job) -> list[dict]:
    """A row a second: rates by the clock, p99 of the records that were due in that second."""
    rows = samples.rates(watch.samples.samples, job.due_start_ms, 1_000)
    p99 = {(second["lane"], (second["due_ms"] - job.due_start_ms) // 1_000): second["p99"] for second in latencies.get("seconds") or []}
    return [
        {
            "offset_s": row["offset_ms"] // 1_000,
            "due_per_s": due_between(options, row["offset_ms"], row["offset_ms"] + 1_000),
            **{f"{name}_per_s": round(row[name]) for name in ("received", "kept", "diverted")},
            **{f"p99_{lane}_ms": p99.get((lane, row["offset_ms"] // 1_000)) for lane in ("local", "cloud")},
        }
        for row in rows
    ]


def due_between(options: Options, start_ms: int, end_ms: int) -> int:
    """How many records of the profile are due in a stretch of time."""
    return sum(segment.first_due_from(end_ms) - segment.first_due_from(start_ms) for segment in options.profile.segments)
