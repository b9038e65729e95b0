"""After the run: reconcile, export, count the truth, compare; and the latencies."""

from __future__ import annotations

import filecmp
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from . import build
from .errors import EX_SOFTWARE, DemoError
from .options import ROOT, Options
from .processes import Processes
from .services import AWS, EVENT_START_MS, LOCATION, WINDOW_MS, Job, LocalCloud


@dataclass(frozen=True)
class Verdict:
    """What the balance sheet and the oracle say of a run."""

    balance: dict
    balance_text: str
    closed: bool
    oracle_match: bool
    oracle_records: int
    rows: int
    sha256: str

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, every count right."""
        return self.closed and self.oracle_match and self.balance["received"] == self.oracle_records


def reach(processes: Processes, options: Options, cloud: LocalCloud, input_file: Path, folder: Path) -> Verdict:
    """Merges the lanes into the final result and holds it against the oracle."""
    tool = str(build.BINARIES["spillway-reconcile"])
    where = ["--location", LOCATION, "--endpoint-url", cloud.s3_url]
    sheet, final, truth, summary = (folder / name for name in ("balance.json", "final.csv", "oracle.csv", "oracle.json"))
    # 1 means that a window is open: that is a result to show, not a failure of the tool.
    text = processes.run("reconcile", [tool, "run", *where, "--json", str(sheet)], good=(0, 1), **AWS)
    if not sheet.exists():
        raise DemoError(EX_SOFTWARE, f"reconcile wrote no balance sheet: {processes.last_words('reconcile', text)}")
    processes.run("export", [tool, "export", *where, "--out", str(final)], **AWS)
    processes.run("oracle", [
        sys.executable, str(ROOT / "scripts" / "oracle.py"), "--input", str(input_file), "--profile", options.profile_spec,
        "--start", str(EVENT_START_MS), "--window-ms", str(WINDOW_MS), "--out", str(truth), "--summary", str(summary),
    ])
    balance = json.loads(sheet.read_text(encoding="utf-8"))
    data = final.read_bytes()
    return Verdict(
        balance=balance,
        balance_text=text,
        closed=balance["open"] == 0 and balance["lost"] == 0 and balance["duplicated"] == 0,
        oracle_match=filecmp.cmp(final, truth, shallow=False),
        oracle_records=json.loads(summary.read_text(encoding="utf-8"))["records"],
        # A word never holds a line break, so lines are rows; the first is the header.
        rows=data.count(b"\n") - 1,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def latencies(processes: Processes, options: Options, job: Job, folder: Path) -> dict:
    """Per lane and phase, and per second: count, p50, p99, max in milliseconds."""
    log = folder / "latency.log"
    if not log.exists():
        raise DemoError(EX_SOFTWARE, f"the job wrote no latency log to {log}")
    phases = ",".join(f"{name}:{job.due_start_ms + start}-{job.due_start_ms + end}" for name, start, end in options.phases.ranges())
    command = ["java", "-XX:+UseSerialGC", "-cp", str(build.JAR), "io.spillway.jobs.LatencyReport", str(log), "--phases", phases]
    return json.loads(processes.run("latency", command))
