"""After a run: the result against the oracle, the books, the orphans, and what gc removes."""

from __future__ import annotations

import filecmp
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from demo import build
from demo.options import ROOT
from demo.processes import Processes, wait_until
from demo.services import AWS, EVENT_START_MS, WINDOW_MS

from . import collect
from .job import Job
from .schedule import Schedule
from .world import World

_QUIET_S = 15.0


@dataclass(frozen=True)
class Audit:
    """What was found. `wrong`: everything that must not be; empty if all is well."""

    balance: dict
    removed: int
    wrong: list[str]


def audit(world: World, schedule: Schedule, job: Job, input_file: Path, expect_replay: bool = False) -> Audit:
    """Reconciles, counts the truth, and collects garbage. `expect_replay`: the result is wrong on purpose, and must be called so."""
    # An attempt that was given up may still have invocations under way, whose partials nobody waits for.
    wait_until(lambda: world.invocations_running() == 0, _QUIET_S, 0.1)
    folder = world.folder / schedule.name
    folder.mkdir(exist_ok=True)
    tool = str(build.BINARIES["spillway-reconcile"])
    where = collect.where(world, job)
    sheet, final = folder / "balance.json", folder / "final.csv"
    run = world.processes.run
    text = run(f"reconcile-{schedule.name}", [tool, "run", *where, "--json", str(sheet)], good=(0, 1), **AWS)
    (folder / "balance.txt").write_text(text, encoding="utf-8")
    balance = json.loads(sheet.read_text(encoding="utf-8"))
    run(f"export-{schedule.name}", [tool, "export", *where, "--out", str(final)], good=(0, 1), **AWS)
    truth, records = _truth(world.processes, schedule, input_file, folder)

    wrong = []
    same = filecmp.cmp(final, truth, shallow=False)
    if expect_replay:
        if balance["balanced"] or not balance["replayed_books"]:
            wrong.append(f"a replay was not noticed: balanced {balance['balanced']}, replayed books {balance['replayed_books']}")
    else:
        if not same:
            wrong.append(f"the result is not the oracle's: compare {final} and {truth}")
        if not balance["balanced"] or balance["open"] or balance["lost"] or balance["duplicated"]:
            wrong.append(f"the books do not balance: {balance['open']} windows open, {balance['lost']} lost, {balance['duplicated']} twice")
        if balance["received"] != records:
            wrong.append(f"{balance['received']} records received, the profile stands for {records}")
        if balance["late"]:
            wrong.append(f"{balance['late']} records were late")
    removed = _collect(world, job, balance, wrong)
    return Audit(balance, removed, wrong)


def _truth(processes: Processes, schedule: Schedule, input_file: Path, folder: Path) -> tuple[Path, int]:
    truth, summary = folder / "oracle.csv", folder / "oracle.json"
    processes.run(f"oracle-{schedule.name}", [
        sys.executable, str(ROOT / "scripts" / "oracle.py"), "--input", str(input_file), "--profile", schedule.setup.profile,
        "--start", str(EVENT_START_MS), "--window-ms", str(WINDOW_MS), "--out", str(truth), "--summary", str(summary),
    ])
    return truth, json.loads(summary.read_text(encoding="utf-8"))["records"]


def _collect(world: World, job: Job, balance: dict, wrong: list[str]) -> int:
    """gc must remove the orphans, all of them, and nothing else; how many it removed."""
    root = collect.folder(world, job)
    before, receipted = collect.digests(root), collect.receipted(root)
    orphans = {name for name in before if name.startswith("partials/")} - receipted
    if balance["orphans"] != len(orphans):
        wrong.append(f"the balance counts {balance['orphans']} orphans, there are {len(orphans)}")
    removed = collect.gc(world, job, 0)
    after = collect.digests(root)
    gone = {name for name in before if name not in after}
    if amiss := gone ^ orphans:
        wrong.append(f"gc did not remove exactly the orphans: {sorted(amiss)[:5]}")
    if removed != len(gone):
        wrong.append(f"gc says that it removed {removed}, but {len(gone)} objects are gone")
    if changed := [name for name in after if before.get(name) != after[name]]:
        wrong.append(f"gc changed other objects: {sorted(changed)[:5]}")
    if live := collect.wrongly(job.collected, receipted):
        wrong.append(f"gc removed {len(live)} objects in mid-run that are no orphans: {live[:5]}")
    return removed
