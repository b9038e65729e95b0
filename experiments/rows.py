"""What the experiments share: on what they were measured, and where the raw results of each row go."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterable

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from demo import signals  # noqa: E402
from demo.console import Console  # noqa: E402
from demo.errors import DemoError, Interrupted  # noqa: E402


def machine() -> dict:
    """The processor, the commit, the time."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(), "commit": commit.stdout.strip(),
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def measure(prog: str, argv: list[str], rows: Iterable[tuple[str, str, Callable[[Console], dict]]], results: Path, out: Path) -> int:
    """Runs rows (name, title, what measures it) and writes `results/NAME.json` for each; gives the exit code.

    What a row returns has a `summary`, which is printed too.
    """
    os.chdir(ROOT)
    out.mkdir(parents=True, exist_ok=True)
    results.mkdir(exist_ok=True)
    try:
        with signals.raising():
            for name, title, row in rows:
                console = Console()
                console.step(f"== {name}: {title}")
                found = {"row": name, "command": " ".join([prog, *argv]), "machine": machine()} | row(console)
                (results / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                console.step(json.dumps(found["summary"], indent=1))
    except DemoError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return error.code
    except Interrupted as interrupt:
        return interrupt.code
    return 0
