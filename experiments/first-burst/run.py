#!/usr/bin/env python3
"""Measures what the first burst must show, a row of the issue at a time: run.py ROW... See README.md."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "experiments"))

import rows  # noqa: E402  (and the path of what follows)
from demo import options, run  # noqa: E402
from demo.console import Console  # noqa: E402
from demo.errors import DemoError  # noqa: E402

import saturation  # noqa: E402

RESULTS = HERE / "results"
OUT = ROOT / "target" / "experiments" / "first-burst"
# So quiet before the spike that nothing can be learnt about what the local lane can take.
UNKNOWN_PROFILE = "500:4s,720k:10s,500:6s"
REAL_PROFILE = "20k:4s,300k:8s,20k:4s"


def demo(console: Console, experiment: argparse.Namespace, *arguments: str) -> dict:
    """The report of one run of the demo; the run must be right."""
    chosen = dataclasses.replace(options.parse([*arguments, "--out", str(OUT)]), keep=False, build=experiment.build)
    outcome = run.run(chosen, console)
    if not outcome.good:
        raise DemoError(1, f"this run's result is wrong: {' '.join(arguments)}")
    return outcome.report


def correctness(console: Console, arguments: argparse.Namespace) -> dict:
    """The same result whatever is diverted."""
    runs = {burst: demo(console, arguments, "--profile", arguments.profile, "--burst", burst) for burst in ("off", "on", "all")}
    return {"runs": runs, "summary": _same(runs)}


def real_input(console: Console, arguments: argparse.Namespace) -> dict:
    """The same on real texts."""
    summary, runs = {}, {}
    for file in arguments.inputs:
        name = Path(file).name
        of_file = {burst: demo(console, arguments, "--profile", REAL_PROFILE, "--input", file, "--burst", burst) for burst in ("off", "on", "all")}
        summary[name] = _same(of_file)
        runs |= {f"{name} {burst}": report for burst, report in of_file.items()}
    return {"runs": runs, "summary": summary}


def spike(console: Console, arguments: argparse.Namespace) -> dict:
    """A step beyond what the local lane can take, with and without diverting."""
    runs = {burst: demo(console, arguments, "--profile", arguments.profile, "--burst", burst) for burst in ("on", "off")}
    growing = [row["p99_local_ms"] for row in runs["off"]["timeline"] if row["p99_local_ms"] is not None]
    # Of a run without diverting: what the saturated lane took, measured.
    saturated = runs["off"]["local_capacity_per_s"]
    on, off = ({lane: runs[burst]["latency_ms"][lane]["spike"]["p99"] for lane in ("local", "cloud")} for burst in ("on", "off"))
    return {"runs": runs, "summary": {
        "spike_rate_per_s": runs["on"]["spike_rate_per_s"], "saturation_per_s": saturated,
        "spike_over_saturation": round(runs["on"]["spike_rate_per_s"] / saturated, 2),
        "p99_ms_in_the_spike": {"on": on, "off": off["local"]},
        "off_over_on": round(off["local"] / max(value for value in on.values() if value), 1),
        "off_p99_ms_by_second": growing,
    }}


def reaction(console: Console, arguments: argparse.Namespace) -> dict:
    """From the spike's first record to the first diverted one, armed and with the capacity unknown; and the release."""
    runs = {}
    for number in range(arguments.repeat):
        runs[f"armed {number}"] = demo(console, arguments, "--profile", arguments.profile)
        runs[f"unknown {number}"] = demo(console, arguments, "--profile", UNKNOWN_PROFILE)
    return {"runs": runs, "summary": {
        kind: {name: [report[name] for key, report in runs.items() if key.startswith(kind)] for name in ("reaction_ms", "release_ms")}
        for kind in ("armed", "unknown")
    }}


def overhead(console: Console, arguments: argparse.Namespace) -> dict:
    """The throughput of the saturated local lane with a valve that diverts nothing, over that without a valve."""
    return saturation.compare(console, OUT, arguments.repeat)


def overhead_warm(console: Console, arguments: argparse.Namespace) -> dict:
    """The same of jobs that follow one another on one cluster."""
    return saturation.compare_warm(console, OUT, arguments.repeat)


def restart(console: Console, arguments: argparse.Namespace) -> dict:
    """kill -9 of the TaskManager in mid-spike."""
    runs = {str(number): demo(console, arguments, "--profile", arguments.profile, "--kill", "taskmanager@spike+5s") for number in range(arguments.repeat)}
    return {"runs": runs, "summary": [
        {"oracle_match": report["oracle"]["match"], **report["balance"], "took_ms": report["run"]["took_ms"]} for report in runs.values()
    ]}


ROWS: dict[str, Callable[[Console, argparse.Namespace], dict]] = {
    "correctness": correctness, "real-input": real_input, "spike": spike, "reaction": reaction, "overhead": overhead, "overhead-warm": overhead_warm,
    "restart": restart,
}


def _same(runs: dict[str, dict]) -> dict:
    shas = sorted({report["result"]["sha256_of_canonical_csv"] for report in runs.values()})
    return {
        "equal": len(shas) == 1, "sha256": shas,
        "oracle_match": {name: report["oracle"]["match"] for name, report in runs.items()},
        "open": {name: report["balance"]["open"] for name, report in runs.items()},
        "diverted": {name: report["records"]["diverted"] for name, report in runs.items()},
    }


def main(argv: list[str]) -> int:
    """Runs the rows that are asked for, and keeps the raw results of each."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("rows", nargs="+", choices=[*ROWS, "all"], metavar="ROW", help=f"{', '.join(ROWS)} or all")
    parser.add_argument("--profile", default=options.DEFAULT_PROFILE, help="of all rows but real-input and overhead (default %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of reaction and restart, pairs of overhead (default %(default)s)")
    parser.add_argument("--inputs", nargs="+", default=["../shared/data/shakespeare.txt", "../shared/data/apache_access.log"], metavar="FILE",
                        help="of real-input, seen from the repository's root")
    parser.add_argument("--no-build", dest="build", action="store_false", help="take what is built as it is (not for overhead)")
    arguments = parser.parse_args(argv)
    chosen = ROWS if "all" in arguments.rows else arguments.rows
    found = [(row, ROWS[row].__doc__, functools.partial(ROWS[row], arguments=arguments)) for row in chosen]
    return rows.measure("run.py", argv, found, RESULTS, OUT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
