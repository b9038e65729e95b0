"""Runs one tool, shows that it is alive, and counts what it checked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from demo.console import Console
from demo.options import ROOT
from demo.processes import Processes

from .tally import Tally, verdict

LOGS = ROOT / "target" / "test"
_QUOTED_LINES = 60


@dataclass(frozen=True)
class Step:
    """A command, run in the repository's root, and how to read its output."""

    name: str
    command: list[str]
    count: Callable[[str, int], Tally] = verdict
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, console: Console) -> Tally:
        """Runs it; on failure shows the end of its output. Whatever it leaves behind is ended."""
        LOGS.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with Processes(LOGS) as processes:
            log = processes.log(self.name.replace(" ", "-"))
            log.unlink(missing_ok=True)
            process = processes.start(log.stem, self.command, **self.environment)
            while process.poll() is None:
                console.live(f"{self.name}: {time.monotonic() - began:.0f} s  {_last_line(log)}")
                time.sleep(0.2)
        output = log.read_text(encoding="utf-8", errors="replace")
        tally = self.count(output, process.returncode)
        console.step(f"  {self.name}: {tally.passed} passed, {tally.failed} failed in {time.monotonic() - began:.0f} s")
        if tally.failed:
            console.step("\n".join(["", *output.splitlines()[-_QUOTED_LINES:], "", f"(the whole output: {log})"]))
        return tally


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 400))
        lines = file.read().decode("utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
