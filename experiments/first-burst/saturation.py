"""What the local lane can take, and what the valve costs it: jobs that run as fast as they can."""

from __future__ import annotations

import dataclasses
import os
import shutil
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

import oracle
from demo import build, options, rest, run, services
from demo.console import Console
from demo.errors import DemoError
from demo.machine import Placement
from demo.processes import Processes

# 60 s at 200 000 records/s. The job's hot code is compiled long before the middle. What runs ten times a second or once a
# checkpoint (Flink's RPC, S3, HTTP, XML) is still being compiled minutes later, so the compiler is accounted for, see _rate.
PROFILE = "1M:12s"
# A job on a cluster that is warm has only its own code to compile.
_WARM_PROFILE = "1M:6s"
_WARM_UP_SHARE, _END_SHARE = 0.5, 0.95
_POLL_S = 0.5


def compare(console: Console, out: Path, pairs: int) -> dict:
    """Interleaved pairs of runs, each on a fresh cluster; the ratio of each pair, and their median and spread."""
    def one(valve: str) -> dict:
        with _system(console, out, valve == "on") as system:
            return system.run(PROFILE, valve)
    return _compare(console, pairs, one)


def compare_warm(console: Console, out: Path, pairs: int) -> dict:
    """The same on one cluster, job after job: Flink's own code is compiled, as in a worker that has run for long. Before
    them comes a pair that does not count. The sidecar is there for all of them, with nothing to do for a job without a valve."""
    with _system(console, out, with_sidecar=True) as system:
        for valve in ("on", "off"):
            system.run(_WARM_PROFILE, valve)
        return _compare(console, pairs, lambda valve: system.run(_WARM_PROFILE, valve))


def _compare(console: Console, pairs: int, one: Callable[[str], dict]) -> dict:
    runs: list[dict] = []
    for number in range(pairs):
        # Every other pair starts with the other one, so that a drift of the machine favours neither.
        order = ("off", "on") if number % 2 == 0 else ("on", "off")
        pair = {valve: one(valve) for valve in order}
        runs.append({"order": order, **pair})
        console.step(f"pair {number + 1}: " + ", ".join(f"{name} {_ratio(runs[-1], name):.3f}" for name in _RATES))
    return {"runs": runs, "summary": {name: _summary(runs, name) for name in _RATES}}


# As measured, and with the JIT compiler's share of the core taken out.
_RATES = ("records_per_s", "records_per_s_compiled")


def _ratio(pair: dict, name: str) -> float:
    return pair["on"][name] / pair["off"][name]


def _summary(runs: list[dict], name: str) -> dict:
    ratios = [_ratio(pair, name) for pair in runs]
    return {valve: round(statistics.median(pair[valve][name] for pair in runs)) for valve in ("off", "on")} | {
        "ratio": {"median": round(statistics.median(ratios), 4), "min": round(min(ratios), 4), "max": round(max(ratios), 4)}}


@dataclasses.dataclass(frozen=True)
class _System:
    """A cluster with its cloud, and a sidecar if there is one."""

    console: Console
    folder: Path
    processes: Processes
    placement: Placement
    cluster: services.Cluster
    sidecar: str | None
    out: Path

    def run(self, profile: str, valve: str) -> dict:
        """A job that runs as fast as it can, with a valve that diverts nothing or without one: its records per second."""
        chosen = _options(self.out, profile, valve)
        # A job refuses the folder of the one before, whose results would count as its own.
        output = f"{services.OUTPUT}/{time.time_ns()}"
        with self.placement.out_of_the_way():
            sidecar = self.sidecar if valve == "on" else None
            job = self.cluster.submit(self.processes, chosen, run.own_text(chosen), self.folder, sidecar, output)
            worker = self.cluster.state()["taskmanager_pids"][0]
            return _rate(_follow(self.console, job, worker, valve), _words_in_all(chosen), chosen.profile.records)


@contextmanager
def _system(console: Console, out: Path, with_sidecar: bool) -> Iterator[_System]:
    """Starts all of it, and ends it."""
    build.check_tools(build=True)
    folder = Path(tempfile.mkdtemp(prefix="saturation-", dir=out))
    placement = Placement.of_this_machine()
    try:
        with Processes(folder) as processes:
            build.build(processes, console)
            cloud = services.LocalCloud.start(processes, placement, folder)
            cluster = services.Cluster.start(processes, placement, folder, cloud)
            chosen = _options(out, PROFILE, "on")
            sidecar = services.start_sidecar(processes, placement, folder, chosen, cluster, cloud) if with_sidecar else None
            yield _System(console, folder, processes, placement, cluster, sidecar, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        console.clear()


def _options(out: Path, profile: str, valve: str) -> options.Options:
    job_options = ("--unpaced",) if valve == "on" else ("--unpaced", "--valve", "off")
    return dataclasses.replace(options.parse(["--profile", profile, "--burst", "off", "--out", str(out)]), job_options=job_options)


@dataclasses.dataclass(frozen=True)
class Sample:
    """What was read at one time."""

    at_s: float
    words: int
    compiler_s: float


def _follow(console: Console, job: services.Job, worker: int, valve: str) -> list[Sample]:
    """Reads how many words the tokenizer has handed on, twice a second, until the job ends.

    Words are counted because both jobs hand on the same ones, and because Flink counts them at the
    same place whether there is a valve or not. How many words a record has, the oracle knows.
    """
    samples: list[Sample] = []
    vertex, state = None, "CREATED"
    while state not in ("FINISHED", "FAILED", "CANCELED"):
        began = time.monotonic()
        try:
            state = job.state()
            vertex = vertex or _first_vertex(job)
            words = _words(job, vertex) if vertex else None
            if words and (not samples or words > samples[-1].words):
                samples.append(Sample(began, words, _compiler_seconds(worker)))
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


def _compiler_seconds(pid: int) -> float:
    """Processor time that the JIT compiler's threads of a JVM have used."""
    ticks = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, fields = (thread / "stat").read_text(encoding="utf-8").split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue  # The thread has just ended.
        if "Compiler" in name:
            user, system = fields.split()[11:13]
            ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")


def _rate(samples: list[Sample], total: int, records: int) -> dict:
    """Records per second of the middle of a run; also per second that the JIT compiler left to the job.

    The worker has one core, and the more code a job has that seldom runs, the longer the compiler takes its share of it: minutes,
    where a stream runs for months. What is left of the core is what the job has in the long run.
    """
    middle = [sample for sample in samples if _WARM_UP_SHARE * total <= sample.words <= _END_SHARE * total]
    if len(middle) < 5:
        raise DemoError(70, f"only {len(middle)} samples in the middle of the run: let it run longer")
    first, last = middle[0], middle[-1]
    measured_s = last.at_s - first.at_s
    compiler_share = (last.compiler_s - first.compiler_s) / measured_s
    records_per_s = (last.words - first.words) / measured_s * records / total
    return {"records_per_s": records_per_s, "compiler_share": compiler_share, "records_per_s_compiled": records_per_s / (1 - compiler_share),
            "measured_s": measured_s,
            "samples": [{"s": round(one.at_s - samples[0].at_s, 3), "words": one.words, "compiler_s": one.compiler_s} for one in samples]}
