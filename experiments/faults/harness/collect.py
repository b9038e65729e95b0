"""Collecting garbage, and what it takes: after a run, and in the middle of one."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path

from demo import build
from demo.services import AWS, BUCKET

from .job import Job
from .world import PREFIX, World

_REMOVED = re.compile(r"^([\d ]+) orphans, [^,]*, removed;", re.MULTILINE)


def where(world: World, job: Job) -> list[str]:
    """The arguments that name a job's folder."""
    return ["--location", job.location, "--endpoint-url", world.url("s3")]


def folder(world: World, job: Job) -> Path:
    """The same as a folder: local-cloud keeps objects as files."""
    return world.s3_root / BUCKET / PREFIX / job.location.rsplit("/", 1)[1]


def gc(world: World, job: Job, grace_s: int) -> int:
    """Removes orphans that are old enough; how many, in gc's own words."""
    # The files' times have milliseconds, and gc spares what is as new as the present moment.
    time.sleep(0.05)
    tool = str(build.BINARIES["spillway-reconcile"])
    return removed_of(world.processes.run("gc", [tool, "gc", *where(world, job), "--grace", f"{grace_s}s"], **AWS))


def removed_of(said: str) -> int:
    """The number in gc's last line."""
    found = _REMOVED.search(said)
    if not found:
        raise ValueError(f"gc does not say how much it removed: {said[-200:]!r}")
    return int(found[1].replace(" ", ""))


def in_mid_run(world: World, job: Job, grace_s: int) -> str:
    """Collects while the job runs; says what was removed. Whether a receipt names any of it is known when the job has ended."""
    root = folder(world, job)
    before = names(root)
    removed = gc(world, job, grace_s)
    gone = before - names(root)
    job.collected |= gone
    if removed != len(gone):
        return f"gc says that it removed {removed}, but {len(gone)} objects are gone: {sorted(gone)[:3]}"
    left = len(before) - len(gone)
    return f"{removed} orphans removed, {left} objects left" if removed else f"nothing removed of {left} objects"


def wrongly(gone: set[str], receipted: set[str]) -> list[str]:
    """Of what was removed in mid-run: what is no partial, or one that a receipt names now."""
    return sorted(name for name in gone if not name.startswith("partials/") or name in receipted)


def names(root: Path) -> set[str]:
    """The objects below a folder that are there to stay: Flink's sinks make and remove others, with such names, all the time."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name[0] not in "._"}


def digests(root: Path) -> dict[str, str]:
    """Every object below a folder, and its content's digest."""
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def receipted(root: Path) -> set[str]:
    """The objects that committed receipts name, read here anew: reconcile shall not check itself."""
    named = set()
    for path in (root / "ledger").glob("*"):
        if path.is_file() and path.name[0] not in "._":
            lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            named |= {line["object"] for line in lines if line["type"] == "receipt"}
    return named
