#!/usr/bin/env python3
"""How well the sidecar knows what the local lane can take: capacity.py [--warm] [--near RATE] [--loads SHARE,...]. See README.md.

One job on a fresh cluster: the loads one after the other, each held, then more than the lane can take. Nothing is
diverted, so what is kept in the last part is the measured saturation, of the very job whose capacity was estimated before.
With --warm the lane is saturated for a minute before, and right after each load; and before each load the sidecar is
replaced by one that knows nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import os
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Callable, Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "experiments"))

import rows  # noqa: E402  (and the path of what follows)
from demo import build, options, rest, run, services  # noqa: E402
from demo.console import Console  # noqa: E402
from demo.errors import DemoError  # noqa: E402
from demo.machine import Placement  # noqa: E402
from demo.processes import Processes  # noqa: E402

import warm  # noqa: E402

RESULTS = HERE / "results"
OUT = ROOT / "target" / "experiments" / "deciding"
_POLL_S = 0.2
# The estimate counts from 10 s on: the "after 10 s".
_SETTLED_S = 10
# Of the saturated part, its first seconds are left out: the buffers fill.
_FILLING_S = 2
# The controller decides, hence the job is looked at as in earnest; but nothing is ever diverted.
WATCH_ONLY = {
    "SPILLWAY_POLICY_ARMED": "false", "SPILLWAY_POLICY_ENGAGE_HOLD": "60s", "SPILLWAY_POLICY_ENGAGE_BACK_PRESSURE_HOLD": "60s",
}
# Everything stays local by the operator's word; the controller thinks as ever, with its own thresholds.
LOCAL = {"SPILLWAY_POLICY_MODE": "local"}
_NEAR = 180_000.0
# What a sidecar needs to be there.
_START_S = 0.5
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def profile(near: float, loads: list[float], hold_s: int, flood_s: int) -> str:
    """The loads, then a flood of twice what the lane is near."""
    steps = [f"{round(near * load)}:{hold_s}s" for load in loads]
    return ",".join([*steps, f"{round(near * 2)}:{flood_s}s"])


@dataclasses.dataclass(frozen=True)
class World:
    """Cloud, cluster and sidecar, for jobs one after the other."""

    console: Console
    processes: Processes
    placement: Placement
    folder: Path
    cloud: services.LocalCloud
    cluster: services.Cluster
    options: options.Options
    sidecar: str

    def job(self, spec: str, fresh_at_s: tuple[float, ...] = (), cancel_at_s: float | None = None) -> dict:
        """Runs one; all samples. At each of `fresh_at_s` the sidecar is replaced by another at the same address."""
        chosen = dataclasses.replace(self.options, profile_spec=spec, profile=options.parse(["--profile", spec]).profile)
        left, replaced, canceled = list(fresh_at_s), [], False
        with self.placement.out_of_the_way():
            job = self.cluster.submit(self.processes, chosen, run.own_text(chosen), self.folder, self.sidecar, f"{services.OUTPUT}/{time.time_ns()}")

            def when_due() -> None:
                nonlocal canceled
                second = time.time() - job.due_start_ms / 1000
                if left and second >= left[0]:
                    left.pop(0)
                    self.replace_sidecar()
                    replaced.append(round(time.time() * 1000))
                if cancel_at_s and second >= cancel_at_s and not canceled:
                    canceled = True
                    urllib.request.urlopen(urllib.request.Request(f"{job.rest_url}/jobs/{job.id}?mode=cancel", method="PATCH"), timeout=10).close()

            samples = _follow(self, job, when_due, "CANCELED" if cancel_at_s else "FINISHED")
        return {"profile": spec, "due_start_ms": job.due_start_ms, "sidecar_replaced_ms": replaced, "samples": samples}

    def replace_sidecar(self) -> None:
        """Another process at the same address, which knows nothing."""
        self.processes.stop("sidecar")
        services.start_sidecar(self.processes, self.placement, self.folder, self.options, self.cluster, self.cloud, self.sidecar.removeprefix("http://"))


@contextlib.contextmanager
def world(console: Console, arguments: argparse.Namespace, policy: dict[str, str]) -> Iterator[World]:
    """A fresh one, in which nothing is diverted, thanks to `policy`."""
    chosen = options.parse(["--burst", "on", "--out", str(OUT)])
    chosen = dataclasses.replace(chosen, sidecar_environment=policy | dict(item.split("=", 1) for item in arguments.env))
    folder = Path(tempfile.mkdtemp(prefix="capacity-", dir=OUT))
    placement = Placement.of_this_machine()
    try:
        with Processes(folder) as processes:
            if arguments.build:
                build.build(processes, console)
            build.check_built()
            cloud = services.LocalCloud.start(processes, placement, folder)
            cluster = services.Cluster.start(processes, placement, folder, cloud)
            sidecar = services.start_sidecar(processes, placement, folder, chosen, cluster, cloud)
            yield World(console, processes, placement, folder, cloud, cluster, chosen, sidecar)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        console.clear()


def _follow(found: World, job: services.Job, before_each: Callable[[], None], end: str) -> list[dict]:
    samples: list[dict] = []
    worker = rest.get(f"{job.rest_url}/taskmanagers")["taskmanagers"][0]["id"]
    pid = _worker_pid(found.cluster)
    vertices = []
    state = "CREATED"
    while state not in ("FINISHED", "FAILED", "CANCELED"):
        before_each()
        began = time.monotonic()
        try:
            state = job.state()
            vertices = vertices or [vertex["id"] for vertex in rest.get(f"{job.rest_url}/jobs/{job.id}")["vertices"]]
            sample = _sample(job, found.sidecar, worker, vertices, pid)
            if sample:
                samples.append(sample)
                found.console.live(f"received {sample['received']:,}, capacity {sample['capacity_per_s']}")
        except (rest.Unreachable, IndexError, KeyError):
            pass
        time.sleep(max(0.0, began + _POLL_S - time.monotonic()))
    if state != end:
        raise DemoError(70, f"the job is {state}: {job.cause()}")
    return samples


def _worker_pid(cluster: services.Cluster) -> int | None:
    pids = cluster.state().get("taskmanager_pids")
    return pids[0] if pids else None


def _sample(job: services.Job, sidecar: str, worker: str, vertices: list[str], pid: int | None) -> dict | None:
    status = rest.get(f"{sidecar}/v1/status")
    if not status["valves"]:
        return None
    valve = status["valves"][0]
    sample = {
        "time_ms": round(time.time() * 1000), "report_ms": valve["time_ms"], "received": valve["received"], "kept": valve["kept"],
        "unavailable_ms": valve["local_unavailable_ms"], "capacity_per_s": status["capacity_per_s"], "capacity": status.get("capacity"),
        "reason": status["reason"],
    }
    cpu = rest.get(f"{job.rest_url}/taskmanagers/{worker}/metrics?get=Status.JVM.CPU.Time")
    sample["cpu_ns"] = int(cpu[0]["value"]) if cpu else None
    names = [f"0.{name}" for name in ("accumulateBusyTimeMs", "accumulateIdleTimeMs", "accumulateBackPressuredTimeMs")]
    sample["tasks"] = {}
    for vertex in vertices:
        found = rest.get(f"{job.rest_url}/jobs/{job.id}/vertices/{vertex}/metrics?get={','.join(names)}")
        sample["tasks"][vertex[:6]] = {item["id"][2:]: float(item["value"]) for item in found}
    if pid:
        sample["threads_ms"] = _threads(pid)
    return sample


def _threads(pid: int) -> dict[str, int]:
    """Processor time of the worker's threads by kind, in ms."""
    spent: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        name, fields = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        kind = name.rstrip("0123456789#- ")
        spent[kind] = spent.get(kind, 0) + (int(fields[11]) + int(fields[12])) * 1000 // _CLOCK_TICKS
    return {kind: ms for kind, ms in sorted(spent.items(), key=lambda item: -item[1]) if ms > 20}


def judge(samples: list[dict], due_start_ms: int, loads: list[float], hold_s: int, flood_s: int) -> dict:
    """The estimate at each load against what saturation showed."""
    def between(start_s: float, end_s: float) -> list[dict]:
        return [one for one in samples if start_s <= (one["report_ms"] - due_start_ms) / 1000 <= end_s]

    def rate(part: list[dict], field: str) -> float | None:
        first, last = part[0], part[-1]
        if first.get(field) is None or last.get(field) is None:
            return None
        return (last[field] - first[field]) / (last["report_ms"] - first["report_ms"]) * 1000

    flood_from = len(loads) * hold_s
    flood = between(flood_from + _FILLING_S, flood_from + flood_s)
    saturation = rate(flood, "kept")
    rows = []
    for number, load in enumerate(loads):
        part = between(number * hold_s + min(_SETTLED_S, hold_s / 2), (number + 1) * hold_s)
        estimates = [one["capacity_per_s"] for one in part if one["capacity_per_s"]]
        cpu = rate(part, "cpu_ns")
        rows.append({
            "load": load, "rate_per_s": round(rate(part, "received")), "of_saturation": round(rate(part, "received") / saturation, 3),
            "cpu": cpu and round(cpu / 1e9, 3),
            "estimate_per_s": round(statistics.median(estimates)) if estimates else None,
            "estimate_over_saturation": [round(f(estimates) / saturation, 3) for f in (min, statistics.median, max)] if estimates else None,
            "first_of_them": round(estimates[0] / saturation, 3) if estimates else None,
        })
    return {"saturation_per_s": round(saturation), "cpu_at_saturation": round(rate(flood, "cpu_ns") / 1e9, 3), "loads": rows}


def main(argv: list[str]) -> int:
    """Runs, and keeps the raw samples."""
    parser = argparse.ArgumentParser(prog="capacity.py", description=__doc__)
    parser.add_argument("--warm", action="store_true", help="warm the lane first, and start a new sidecar before each load")
    parser.add_argument("--near", type=float, metavar="RATE", help=f"records/s that the lane is thought to take (default {_NEAR:.0f}; with --warm tried out)")
    parser.add_argument("--loads", metavar="SHARE,...", help="of --near, one after the other (default 0.5,0.7,0.9; warm 0.55,0.75)")
    parser.add_argument("--hold", type=int, default=18, metavar="S", help="seconds of each load (default %(default)s)")
    parser.add_argument("--flood", type=int, default=10, metavar="S", help="seconds of more than --near (default %(default)s)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="of the sidecar")
    parser.add_argument("--name", help="of the file in results/ (default capacity; warm)")
    parser.add_argument("--no-build", dest="build", action="store_false", help="take what is built as it is")
    arguments = parser.parse_args(argv)
    name = arguments.name or ("warm" if arguments.warm else "capacity")
    loads = [float(load) for load in (arguments.loads or ("0.55,0.75" if arguments.warm else "0.5,0.7,0.9")).split(",")]
    row = functools.partial(_warm if arguments.warm else _cold, arguments=arguments, loads=loads)
    return rows.measure("capacity.py", argv, [(name, "the capacity, told and measured", row)], RESULTS, OUT)


def _cold(console: Console, arguments: argparse.Namespace, loads: list[float]) -> dict:
    """The loads from the job's start on; one sample a second is kept."""
    with world(console, arguments, WATCH_ONLY) as found:
        made = found.job(profile(arguments.near or _NEAR, loads, arguments.hold, arguments.flood))
    summary = judge(made["samples"], made["due_start_ms"], loads, arguments.hold, arguments.flood)
    return _kept(made) | {"loads": loads, "summary": summary}


def _warm(console: Console, arguments: argparse.Namespace, loads: list[float]) -> dict:
    """The loads on a lane that is warm, each with a sidecar that knows nothing."""
    with world(console, arguments, LOCAL) as found:
        near = arguments.near
        if not near:
            # What the lane takes today: the machine is twice as fast at times.
            tried = found.job(warm.TRY, cancel_at_s=warm.TRY_S)
            near = warm.tried(tried["samples"], tried["due_start_ms"])
            console.step(f"the lane takes about {near:,.0f} records/s")
        parts = warm.parts(near, loads, arguments.hold, arguments.flood)
        made = found.job(warm.profile(parts), tuple(part.start_s - _START_S for part in parts if part.kind == "hold"))
    return _kept(made) | {"near": near, "loads": loads, "summary": warm.judge(made["samples"], made["due_start_ms"], parts)}


def _kept(found: dict) -> dict:
    return found | {"samples": found["samples"][::round(1 / _POLL_S)]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
