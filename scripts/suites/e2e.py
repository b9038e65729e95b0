"""Short end-to-end runs with the real processes: whatever is diverted or killed, the result is the same."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from demo.console import Console
from demo.errors import DemoError
from demo.options import ROOT

from .step import LOGS, Step
from .tally import Tally

# A step to more than the local lane takes while everything else of the machine is busy, but short.
PROFILE = "20k:3s,400k:4s,20k:3s"
RUNS = {
    "burst off": ["--burst", "off"],
    "burst on": ["--burst", "on"],
    "burst all": ["--burst", "all"],
    "burst on, TaskManager killed": ["--burst", "on", "--kill", "taskmanager@spike+2s"],
}


@dataclass(frozen=True)
class Check:
    """One thing that a run must show."""

    what: str
    holds: bool


def run(console: Console) -> Tally:
    """Runs the demo in each way, and compares the results."""
    total, reports = Tally(), {}
    for name, arguments in RUNS.items():
        folder = LOGS / f"e2e-{name.replace(', ', '-').replace(' ', '-')}"
        done = Step(f"demo {name}", [sys.executable, "-m", "demo", "--profile", PROFILE, "--out", str(folder), *arguments],
                    environment={"PYTHONPATH": str(ROOT / "scripts"), "PYTHONUNBUFFERED": "1"}).run(console)
        total += done
        if not done.failed:
            reports[name] = _read(folder)
            total += _judge(console, [Check(f"{name}: {check.what}", check.holds) for check in _checks(name, reports[name])])
    shas = {report["result"]["sha256_of_canonical_csv"] for report in reports.values()}
    return total + _judge(console, [Check("the results of all runs are equal", len(shas) == 1 and len(reports) == len(RUNS))])


def _checks(name: str, report: dict) -> list[Check]:
    records = report["records"]
    checks = [
        Check("every record was received", records["received"] == report["oracle"]["records"]),
        Check("the lanes add up", records["received"] == records["kept"] + records["bounced"] + records["diverted"] + records["late"]),
        Check("no window is open", report["balance"]["windows"] > 0 and report["balance"]["open"] == 0),
        Check("nothing was late", records["late"] == 0),
    ]
    if name == "burst off":
        checks.append(Check("nothing was diverted", records["diverted"] == 0))
    elif name == "burst all":
        checks.append(Check("nothing was kept", records["kept"] == 0 and records["diverted"] > 0))
    else:
        checks.append(Check("a part was diverted", 0 < records["diverted"] < records["received"]))
    return checks


def _judge(console: Console, checks: list[Check]) -> Tally:
    for check in checks:
        if not check.holds:
            console.step(f"  FAILED {check.what}")
    return Tally(sum(check.holds for check in checks), sum(not check.holds for check in checks))


def _read(folder: Path) -> dict:
    try:
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DemoError(70, f"the demo left no report in {folder}: {error}") from error
