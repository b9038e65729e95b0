"""After a run: the result against the oracle, the books, the orphans, and what gc removes."""

from __future__ import annotations

import filecmp
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from demo import build
from demo.options import ROOT
from demo.processes import Processes, wait_until
from demo.services import AWS, BUCKET, EVENT_START_MS, WINDOW_MS

from .job import Job
from .schedule import Schedule
from .world import PREFIX, World

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
    where = ["--location", job.location, "--endpoint-url", world.url("s3")]
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
    removed = _collect(world, tool, where, balance, wrong)
    return Audit(balance, removed, wrong)


def _truth(processes: Processes, schedule: Schedule, input_file: Path, folder: Path) -> tuple[Path, int]:
    truth, summary = folder / "oracle.csv", folder / "oracle.json"
    processes.run(f"oracle-{schedule.name}", [
        sys.executable, str(ROOT / "scripts" / "oracle.py"), "--input", str(input_file), "--profile", schedule.setup.profile,
        "--start", str(EVENT_START_MS), "--window-ms", str(WINDOW_MS), "--out", str(truth), "--summary", str(summary),
    ])
    return truth, json.loads(summary.read_text(encoding="utf-8"))["records"]


def _collect(world: World, tool: str, where: list[str], balance: dict, wrong: list[str]) -> int:
    """gc must remove the orphans, all of them, and nothing else."""
    root = world.s3_root / BUCKET / PREFIX / where[1].rsplit("/", 1)[1]
    before = _objects(root)
    orphans = {name for name in before if name.startswith("partials/")} - _receipted(root)
    if balance["orphans"] != len(orphans):
        wrong.append(f"the balance counts {balance['orphans']} orphans, there are {len(orphans)}")
    time.sleep(0.05)  # gc spares what is as new as the present moment.
    world.processes.run("gc", [tool, "gc", *where, "--grace", "0s"], **AWS)
    after = _objects(root)
    if removed := {name for name in before if name not in after} ^ orphans:
        wrong.append(f"gc did not remove exactly the orphans: {sorted(removed)[:5]}")
    if changed := [name for name in after if before.get(name) != after[name]]:
        wrong.append(f"gc changed other objects: {sorted(changed)[:5]}")
    return len(orphans)


def _objects(root: Path) -> dict[str, str]:
    """Every object below a folder, and its content's digest."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*") if path.is_file()
    }


def _receipted(root: Path) -> set[str]:
    """The objects that committed receipts name, read here anew: reconcile shall not check itself."""
    named = set()
    for path in (root / "ledger").glob("*"):
        if path.is_file() and path.name[0] not in "._":
            lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            named |= {line["object"] for line in lines if line["type"] == "receipt"}
    return named
