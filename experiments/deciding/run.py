#!/usr/bin/env python3
"""Compares the simulation with the real cluster, and runs a tuned policy on it: run.py ROW... See README.md."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import functools
import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "experiments"))

import rows  # noqa: E402  (and the path of what follows)
from demo import options, run  # noqa: E402
from demo.console import Console  # noqa: E402
from demo.errors import DemoError  # noqa: E402

import swing  # noqa: E402

RESULTS = HERE / "results"
OUT = ROOT / "target" / "experiments" / "deciding"
TRACE = OUT / "calibration.trace"
SPILLWAY = ROOT / "target" / "release" / "spillway"
SQUARE = "30k:12s,400k:20s,30k:8s"
# Several loads tell keeping, diverting and what a worker spends anyway apart.
CALIBRATION = "30k:20s,90k:12s,150k:12s,30k:5s,400k:15s,30k:6s"
# An hour of the day in two seconds.
DAY_SPEEDUP = 1_800
# Of oscillation: to find the threshold, and in earnest.
_SHORT_SWING_S, _SWING_S = 30, 180


class Recorder:
    """Records a trace of the sidecar of the run that starts next, and how it is doing, once a second."""

    def __init__(self, trace: Path) -> None:
        self._trace, self._process, self._over = trace, None, threading.Event()
        self._thread = threading.Thread(target=self._start)
        self.samples: list[dict] = []

    def __enter__(self) -> "Recorder":
        self._trace.unlink(missing_ok=True)
        self._before = set(OUT.glob("run-*"))
        self._thread.start()
        return self

    def _start(self) -> None:
        while not self._over.wait(0.1):
            for folder in set(OUT.glob("run-*")) - self._before:
                ready = folder / "sidecar.json"
                if ready.exists():
                    sidecar = json.loads(ready.read_text(encoding="utf-8"))
                    self._process = subprocess.Popen([SPILLWAY, "record", "--url", sidecar["url"], "--out", str(self._trace)])
                    self._sample(sidecar["url"], Path(f"/proc/{sidecar['pid']}"))
                    return

    def _sample(self, url: str, process: Path) -> None:
        while not self._over.wait(1):
            try:
                with urllib.request.urlopen(f"{url}/metrics", timeout=1) as answer:
                    metrics = dict(line.split(" ")[:2] for line in answer.read().decode().splitlines() if line.startswith("spillway_sensor_"))
                fields = (process / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
                status = (process / "status").read_text(encoding="ascii").splitlines()
            except OSError:
                return  # It has ended.
            self.samples.append({
                "s": round(time.monotonic(), 2), "cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
                "resident_kb": next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")),
                "looks": int(metrics["spillway_sensor_looks_total"]), "requests": int(metrics["spillway_sensor_requests_total"]),
            })

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._process:
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.terminate()
                self._process.wait()


def demo(console: Console, name: str, *arguments: str, environment: dict[str, str] | None = None) -> dict:
    """The report of one recorded run of the demo, with quantiles of both lanes together. The run must be right."""
    chosen = options.parse([*arguments, "--no-build", "--keep", "--out", str(OUT)])
    chosen = dataclasses.replace(chosen, sidecar_environment=environment or {})
    before = set(OUT.glob("run-*"))
    with Recorder(OUT / f"{name}.trace") as recorder:
        outcome = run.run(chosen, console)
    if not outcome.good:
        raise DemoError(1, f"this run's result is wrong: {' '.join(arguments)}")
    shutil.copyfile(OUT / "report.json", OUT / f"{name}.json")
    folder = next(iter(set(OUT.glob("run-*")) - before))
    report = outcome.report | {"both_ms": both_lanes(folder / "latency.log", outcome.report), "sidecar": recorder.samples}
    shutil.rmtree(folder)
    return report


def both_lanes(log: Path, report: dict) -> dict:
    """Quantiles over the records of both lanes. Of the local lane one in so many words is timed, so it is weighted."""
    counts: dict[str, dict[int, float]] = {"local": {}, "cloud": {}}
    for line in log.read_text(encoding="ascii").splitlines():
        lane, _, text = line.split("\t")
        for value, count in histogram(base64.b64decode(text)):
            counts[lane.lower()][value] = counts[lane.lower()].get(value, 0) + count
    records = {"local": report["records"]["kept"] + report["records"]["bounced"], "cloud": report["records"]["diverted"]}
    weighted: dict[int, float] = {}
    for lane, values in counts.items():
        timed = sum(values.values())
        for value, count in values.items():
            weighted[value] = weighted.get(value, 0) + count * records[lane] / timed
    return {name: quantile(weighted, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def quantile(weighted: dict[int, float], share: float) -> float | None:
    wanted, seen = sum(weighted.values()) * share, 0.0
    for value in sorted(weighted):
        seen += weighted[value]
        if seen >= wanted * (1 - 1e-12):
            return value / 1_000
    return None


def histogram(data: bytes) -> list[tuple[int, int]]:
    """Values and counts of a HdrHistogram in its compressed V2 format, three digits."""
    inner = zlib.decompress(data[8:])
    length, _, digits, lowest = struct.unpack(">iiiq", inner[4:24])
    half = 1 << (2 * 10 ** digits - 1).bit_length() - 1
    unit = lowest.bit_length() - 1
    found, index, at = [], 0, 40
    while at < 40 + length:
        number, shift = 0, 0
        while True:
            byte = inner[at]
            at += 1
            # The ninth byte has eight bits.
            number |= (byte if shift == 56 else byte & 0x7F) << shift
            if byte < 0x80 or shift == 56:
                break
            shift += 7
        number = (number >> 1) ^ -(number & 1)
        if number < 0:
            index -= number
            continue
        if number:
            bucket, sub = index // half - 1, index % half + half
            if bucket < 0:
                bucket, sub = 0, sub - half
            found.append((sub << (bucket + unit), number))
        index += 1
    return found


def spillway(*arguments: str) -> dict:
    """What a command of the sidecar's says as JSON; a range that is missed is no failure here."""
    done = subprocess.run([SPILLWAY, *arguments, "--output", "json"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise DemoError(1, done.stderr.strip())
    return json.loads(done.stdout)


def scenario(name: str, load: str, extra: str = "") -> Path:
    """The demo's job as a scenario."""
    path = OUT / f"{name}.toml"
    text = (HERE / "demo.toml").read_text(encoding="utf-8")
    path.write_text(f'name = "{name}"\nabout = "The demo."\n{extra}\n[load]\n{load}\n{text}', encoding="utf-8")
    return path


def compare(name: str, report: dict, toml: Path, phases: tuple[str, ...], *options: str, plot: bool = True) -> dict:
    """A run beside its simulation, calibrated from the trace of row square's first run."""
    command = ["simulate", str(toml), "--calibrate", str(TRACE), *options]
    drawn = ["--plot", str(RESULTS / f"{name}.svg"), "--measured", str(OUT / f"{name}.json")] if plot else []
    simulated = spillway(*command, *drawn)["scenarios"][0]
    model = subprocess.run([SPILLWAY, *command], capture_output=True, text=True, check=False).stdout.splitlines()[1].strip()
    records = report["records"]
    share = {"real": records["diverted"] / records["received"], "simulated": simulated["whole"]["diverted_share"]}
    rows = {"both, whole run": (report["both_ms"]["p99"], simulated["whole"]["both"]["p99_ms"])}
    for phase in simulated["phases"]:
        for lane in ("local", "cloud"):
            real = report["latency_ms"][lane].get(phase["name"], {})
            if phase["name"] in phases and real.get("count"):
                rows[f"{lane}, {phase['name']}"] = (real["p99"], phase[lane]["p99_ms"])
    p99 = {row: {"real_ms": real, "simulated_ms": made, "factor": round(max(real, made) / min(real, made), 2) if real and made else None}
           for row, (real, made) in rows.items()}
    return {"model": model, "diverted_share": share, "points_apart": round(100 * abs(share["real"] - share["simulated"]), 1),
            "p99": p99, "took_ms": simulated["took_ms"], "simulated_ms": simulated["simulated_ms"]}


def square(console: Console, arguments: argparse.Namespace) -> dict:
    """The square spike, real and simulated. The simulation is calibrated from the trace of another run, with several loads."""
    demo(console, "calibration", "--profile", CALIBRATION)
    with open(TRACE, "rb") as plain, open(RESULTS / f"{TRACE.name}.gz", "wb") as out, gzip.GzipFile("", "wb", 9, out, 0) as packed:
        shutil.copyfileobj(plain, packed)
    report = demo(console, "square", "--profile", SQUARE)
    found = compare("square", report, scenario("square", f'profile = "{SQUARE}"'), ("spike",))
    return {"profile": SQUARE, "report": report, "modes": mode_changes(OUT / "square.trace"), "summary": found}


def day(console: Console, arguments: argparse.Namespace) -> dict:
    """A real day at high speed-up, real and simulated, with the calibration of the square spike's first run."""
    scale = arguments.day_peak / peak(arguments.day) * 60 / DAY_SPEEDUP
    report = demo(console, "day", "--profile", f"csv:{arguments.day},scale={scale:.6f},speedup={DAY_SPEEDUP}")
    toml = scenario("day", f'csv = {json.dumps(str(arguments.day))}\nscale = {scale:.6f}\nspeedup = {DAY_SPEEDUP}.0')
    found = compare("day", report, toml, ())
    return {"day": arguments.day.name, "scale": scale, "speedup": DAY_SPEEDUP, "report": report, "summary": found}


def peak(path: Path) -> int:
    return max(int(row.split(",")[1]) for row in path.read_text(encoding="ascii").split()[1:])


def tuned(console: Console, arguments: argparse.Namespace) -> dict:
    """A policy tuned on a simulation of the recorded square spike, run on the real cluster."""
    policy = OUT / "policy.toml"
    model = scenario("square", f'profile = "{SQUARE}"')
    common = ["tune", "--trace", str(TRACE), "--model", str(model), "--objective", arguments.objective, "--holdout", "0.2", "--out-policy", str(policy)]
    found = spillway(*common, "--plot", str(RESULTS / "tuned.svg"))
    if found["best"] is None:
        raise DemoError(1, f"no policy meets {arguments.objective}")
    spillway(*common, "--plot", str(RESULTS / "tuned.png"))
    shutil.copyfile(policy, RESULTS / "policy.toml")
    environment = {f"SPILLWAY_POLICY_{key.upper()}": value for key, value in settings(policy).items()}
    report = demo(console, "tuned", "--profile", SQUARE, environment=environment)
    return {"profile": SQUARE, "search": found, "report": report, "summary": {
        "objective": found["objective"], "expected_of_the_recorded_load_ms": found["best"]["searched"]["both"], "measured_ms": report["both_ms"],
        "usd": report["cost_usd"], "this_load": compare("tuned", report, model, ("spike",), "--policy", str(policy), plot=False),
    }}


def settings(policy: Path) -> dict[str, str]:
    """The keys of a policy's file."""
    rows = [row.split(" = ", 1) for row in policy.read_text(encoding="utf-8").splitlines() if " = " in row]
    return {key: value.strip('"') for key, value in rows}


def oscillation(console: Console, arguments: argparse.Namespace) -> dict:
    """A load that swings 10 % up and down around the controller's own engage threshold, every 5 s for three minutes."""
    guess = arguments.near * 0.9
    tried = swung(console, "threshold", swing.profile(arguments.near, guess, _SHORT_SWING_S), arguments)
    threshold = tried["summary"]["threshold_per_s"][1]
    found = swung(console, "oscillation", swing.profile(arguments.near, threshold, _SWING_S), arguments)
    found["summary"] |= {"swings_around_per_s": threshold, "when_it_swung_around": {round(guess): tried["summary"]}}
    return found


def swung(console: Console, name: str, profile: str, arguments: argparse.Namespace) -> dict:
    """One run of such a load; load and threshold over time, and what they say."""
    report = demo(console, name, "--profile", profile)
    trace = OUT / f"{name}.trace"
    start = report["run"]["due_start_ms"] + 1_000 * swing.warm_up_s()
    end = report["run"]["due_start_ms"] + report["run"]["profile_ms"]
    rows, modes = swing.over_time(swing.decisions(trace)), mode_changes(trace)
    found = swing.judge(rows, [mode["wall_ms"] for mode in modes[1:]], (start, end))
    if not found:
        raise DemoError(1, f"{name}: the capacity was not known while the load swung; see {trace}")
    return {"profile": profile, "report": report, "modes": modes, "swing_ms": [start, end], "over_time": rows, "summary": found | {
        "diverted_share": round(report["records"]["diverted"] / report["records"]["received"], 3), "p99_ms": report["both_ms"]["p99"],
    }}


def mode_changes(trace: Path) -> list[dict]:
    """The modes of a trace, each with when it began and why; the first one when the first record was seen."""
    found, before = [], None
    with open(trace, encoding="utf-8") as lines:
        for line in lines:
            step = json.loads(line).get("step")
            if not step or not step["decision"]["arrival_per_s"] or step["decision"]["mode"] == before:
                continue
            before = step["decision"]["mode"]
            found.append({"s": round(step["at_ns"] / 1e9, 2), "wall_ms": step["wall_ms"], "mode": before, "reason": step["decision"]["reason"]})
    return found


def watching(console: Console, arguments: argparse.Namespace) -> dict:
    """What the sidecar takes that watches a job with nearly nothing to do, and asks of Flink."""
    report = demo(console, "watching", "--profile", "100:30s")
    samples = report["sidecar"][5:]
    first, last = samples[0], samples[-1]
    return {"report": report, "summary": {
        "cores": round((last["cpu_s"] - first["cpu_s"]) / (last["s"] - first["s"]), 4),
        "most_resident_mb": round(max(sample["resident_kb"] for sample in samples) / 1024, 1),
        "looks_per_s": round((last["looks"] - first["looks"]) / (last["s"] - first["s"]), 2),
        "requests_per_look": round((last["requests"] - first["requests"]) / (last["looks"] - first["looks"]), 2),
    }}


ROWS = {"square": square, "day": day, "tuned": tuned, "oscillation": oscillation, "watching": watching}


def main(argv: list[str]) -> int:
    """Runs the rows that are asked for, and keeps the raw results of each."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("rows", nargs="+", choices=[*ROWS, "all"], metavar="ROW", help=f"{', '.join(ROWS)} or all; day and tuned need square's trace")
    parser.add_argument("--day", type=Path, default=ROOT / "sidecar/scenarios/days/nasa.csv", help="rows minute,requests (default %(default)s)")
    parser.add_argument("--day-peak", type=float, default=400_000, help="records/s in the busiest minute (default %(default)s)")
    parser.add_argument("--near", type=float, default=180_000, metavar="RATE", help="of oscillation: records/s that the saturated lane takes (default %(default)s)")
    parser.add_argument("--objective", default="p99<300ms", help="of row tuned (default %(default)s)")
    arguments = parser.parse_args(argv)
    arguments.day = arguments.day.resolve()
    chosen = ROWS if "all" in arguments.rows else arguments.rows
    if not TRACE.exists() and {"day", "tuned"} & set(chosen) and "square" not in chosen:
        parser.error("day and tuned need the trace that square records: run square first, or with them")
    found = [(row, ROWS[row].__doc__, functools.partial(ROWS[row], arguments=arguments)) for row in chosen]
    return rows.measure("run.py", argv, found, RESULTS, OUT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
