#!/usr/bin/env python3
"""Whether this machine's two processors get in each other's way: cores.py [--times N]. See README.md.

A loop runs on the TaskManager's core, alone and beside another one on the other core, by turns. On a machine whose
processors are two threads of one core, or whose host is busy, it is slower beside it; then a job that keeps both busy cannot
be compared with one that keeps one busy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import rows  # noqa: E402  (and the path of what follows)
from demo.console import Console  # noqa: E402
from demo.machine import Placement  # noqa: E402

_SPIN_S = 1.0


def spins(core: int) -> float:
    """Million turns a second of a loop on a core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        turns, began = 0, time.perf_counter()
        while time.perf_counter() - began < _SPIN_S:
            for _ in range(1000):
                turns += 1
        return turns / _SPIN_S / 1e6
    finally:
        os.sched_setaffinity(0, before)


def measure(console: Console, times: int) -> dict:
    """The ratio of each pair, and their median and spread."""
    placement = Placement.of_this_machine()
    mine, other = placement.taskmanager[0], placement.others[0]
    pairs = []
    for _ in range(times):
        alone = spins(mine)
        with subprocess.Popen(["taskset", "-c", str(other), sys.executable, "-c", "while True: pass"]) as beside:
            together = spins(mine)
            beside.kill()
        pairs.append({"alone": round(alone, 2), "beside": round(together, 2)})
        console.live(str(pairs[-1]))
    ratios = [pair["beside"] / pair["alone"] for pair in pairs]
    return {"million_turns_per_s": pairs, "summary": {
        "beside_to_alone": {"median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}}}


def main(argv: list[str]) -> int:
    """Measures, and keeps the raw results."""
    parser = argparse.ArgumentParser(prog="cores.py", description=__doc__)
    parser.add_argument("--times", type=int, default=15, metavar="N", help="pairs (default %(default)s)")
    arguments = parser.parse_args(argv)
    row = ("cores", "one processor alone and beside the other", lambda console: measure(console, arguments.times))
    return rows.measure("cores.py", argv, [row], HERE / "results", rows.ROOT / "target" / "experiments" / "first-burst")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
