"""What the local lane can take, and what the valve costs it: jobs that run as fast as they can."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import oracle
from demo import build, options, rest, run, services
from demo.console import Console
from demo.errors import DemoError
from demo.machine import Placement
from demo.processes import Processes

# 30 s at 200 000 records/s; the JIT compiler is done with its work long before the middle.
PROFILE = "1M:6s"
_WARM_UP_SHARE, _END_SHARE = 0.35, 0.95
_POLL_S = 0.5


def compare(console: Console, out: Path, pairs: int) -> dict:
    """Interleaved pairs of runs; the ratio of each pair, and their median and spread."""
    runs, ratios = [], []
    for number in range(pairs):
        # Every other pair starts with the other one, so that a drift of the machine favours neither.
        order = ("off", "on") if number % 2 == 0 else ("on", "off")
        pair = {valve: measure(console, out, valve) for valve in order}
        ratios.append(pair["on"]["records_per_s"] / pair["off"]["records_per_s"])
        runs.append({"order": order, **pair})
        console.step(f"pair {number + 1}: without a valve {pair['off']['records_per_s']:,.0f}/s, with {pair['on']['records_per_s']:,.0f}/s, "
                     f"ratio {ratios[-1]:.3f}")
    return {"runs": runs, "summary": {
        "records_per_s": {valve: round(statistics.median(one[valve]["records_per_s"] for one in runs)) for valve in ("off", "on")},
        "ratio": {"median": round(statistics.median(ratios), 4), "min": round(min(ratios), 4), "max": round(max(ratios), 4)},
    }}


def measure(console: Console, out: Path, valve: str) -> dict:
    """One run on a fresh cluster: records per second from 35 % to 95 % of the input."""
    build.check_tools(build=True)
    job_options = ("--unpaced",) if valve == "on" else ("--unpaced", "--valve", "off")
    chosen = dataclasses.replace(options.parse(["--profile", PROFILE, "--burst", "off", "--out", str(out)]), job_options=job_options)
    folder = Path(tempfile.mkdtemp(prefix="saturation-", dir=out))
    placement = Placement.of_this_machine()
    try:
        with Processes(folder) as processes:
            build.build(processes, console)
            cloud = services.LocalCloud.start(processes, placement, folder)
            cluster = services.Cluster.start(processes, placement, folder, cloud)
            sidecar = services.start_sidecar(processes, placement, folder, chosen, cluster, cloud) if valve == "on" else None
            with placement.out_of_the_way():
                job = cluster.submit(processes, chosen, run.own_text(chosen), folder, sidecar)
                return _rate(_follow(console, job, valve), _words_in_all(chosen), chosen.profile.records)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        console.clear()


def _follow(console: Console, job: services.Job, valve: str) -> list[tuple[float, int]]:
    """Reads how many words the tokenizer has handed on, twice a second, until the job ends.

    Words are counted because both jobs hand on the same ones, and because Flink counts them at the
    same place whether there is a valve or not. How many words a record has, the oracle knows.
    """
    samples: list[tuple[float, int]] = []
    vertex, state = None, "CREATED"
    while state not in ("FINISHED", "FAILED", "CANCELED"):
        began = time.monotonic()
        try:
            state = job.state()
            vertex = vertex or _first_vertex(job)
            words = _words(job, vertex) if vertex else None
            if words and (not samples or words > samples[-1][1]):
                samples.append((began, words))
                console.live(f"valve {valve}: {words / 1e6:.1f} M words")
        except rest.Unreachable:
            pass
        time.sleep(max(0.0, began + _POLL_S - time.monotonic()))
    if state != "FINISHED":
        raise DemoError(70, f"the job is {state}: {job.cause()}")
    return samples


def _first_vertex(job: services.Job) -> str | None:
    vertices = rest.get(f"{job.rest_url}/jobs/{job.id}")["vertices"]
    return next((vertex["id"] for vertex in vertices if "replay" in vertex["name"].lower()), None)


def _words(job: services.Job, vertex: str) -> int | None:
    found = rest.get(f"{job.rest_url}/jobs/{job.id}/vertices/{vertex}/subtasks/metrics?get=numRecordsOut&agg=sum")
    return int(found[0]["sum"]) if found else None


def _words_in_all(chosen: options.Options) -> int:
    lines = oracle.read_input(str(run.own_text(chosen)))
    return sum(oracle.Input(lines).count(0, chosen.profile.records).values())


def _rate(samples: list[tuple[float, int]], total: int, records: int) -> dict:
    middle = [(at, words) for at, words in samples if _WARM_UP_SHARE * total <= words <= _END_SHARE * total]
    if len(middle) < 5:
        raise DemoError(70, f"only {len(middle)} samples in the middle of the run: let it run longer")
    (first_at, first), (last_at, last) = middle[0], middle[-1]
    words_per_s = (last - first) / (last_at - first_at)
    return {"records_per_s": words_per_s * records / total, "words_per_s": words_per_s, "measured_s": last_at - first_at,
            "samples": [{"s": round(at - samples[0][0], 3), "words": words} for at, words in samples]}
