"""The sidecar's API against its description, proto/openapi.yaml: requests that schemathesis makes up, good and bad ones.

No answer may be another than the description says or a 5xx, none may take long, and afterwards the sidecar holds no more
memory and no more file handles than before. SPILLWAY_API_REQUESTS says how many requests to make at least.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from demo import build, rest, services
from demo.console import Console
from demo.errors import DemoError
from demo.machine import Placement
from demo.options import ROOT
from demo.processes import Processes, wait_until

from .step import LOGS, Step
from .tally import Tally

_VERSION = "4.32.5"
_VENV = ROOT / "target" / "schemathesis"
# Written last, so that a half-made environment is made anew.
_READY = _VENV / "ready"
_FOLDER = Path(__file__).parent
_REQUESTS = int(os.environ.get("SPILLWAY_API_REQUESTS", "1000"))
_SEED = int(os.environ.get("SPILLWAY_API_SEED", "1"))
# That are drawn for each operation in a round, besides the some 540 that are listed systematically.
_EXAMPLES = 50
_QUOTED_LINES = 120
# What an allocator may keep back after a round.
_MORE_MEMORY_KB = 8 * 1024
_SLOWEST_S = 5.0


def run(console: Console) -> Tally:
    """Installs schemathesis if it is missing, starts local cloud and sidecar, and asks until there were enough requests."""
    total = Tally()
    if not _READY.exists():
        total += Step("install schemathesis", ["sh", "-c", f"'{sys.executable}' -m venv '{_VENV}' && '{_VENV}/bin/pip' -q install schemathesis=={_VERSION} && touch '{_READY}'"]).run(console)
    binaries = [part for name in ("spillway", "spillway-local-cloud", "spillway-burst") for part in ("--bin", name)]
    total += Step("build sidecar and function", ["cargo", "build", "--release", "--color", "never", *binaries]).run(console)
    if total.failed:
        return total
    try:
        with tempfile.TemporaryDirectory(prefix="spillway-api-") as folder, Processes(LOGS) as processes:
            answers, more = _ask(console, processes, Path(folder))
    except DemoError as error:
        console.step(f"  requests by schemathesis: FAILED {error}")
        return total + Tally(failed=1)
    _write(answers)
    console.step(f"  {sum(answers.values())} requests by schemathesis: none answered otherwise than described, {more}")
    return total + Tally(passed=1)


def _ask(console: Console, processes: Processes, folder: Path) -> tuple[Counter[str], str]:
    cloud = services.LocalCloud.start(processes, Placement((), ()), folder)
    ready = folder / "sidecar.json"
    processes.log("api-sidecar").unlink(missing_ok=True)
    sidecar = processes.start("api-sidecar", [
        str(build.BINARIES["spillway"]), "run", "--listen", "127.0.0.1:0", "--ready-file", str(ready),
        "--lambda-endpoint-url", cloud.lambda_url, "--lambda-function", services.FUNCTION,
        # Each stream of events is read up to its second one.
        "--events-tick", "20ms", "--events-max-clients", "1000",
    ], **services.AWS)
    url = processes.ready("api-sidecar", sidecar, ready, 20)["url"]
    answers: Counter[str] = Counter()
    first = None
    round_ = 0
    # The first round fills what is kept of valves; what comes after must not make it larger.
    while round_ < 2 or sum(answers.values()) < _REQUESTS:
        console.live(f"round {round_}: {sum(answers.values())} requests so far")
        answers += _round(console, processes, folder, url, round_)
        processes.must_live()
        round_ += 1
        if first is None:
            first = _Holds.of(sidecar.pid)
    # Connections end as the sidecar hears that their clients have gone.
    wait_until(lambda: _Holds.of(sidecar.pid).handles <= first.handles, 10)
    last = _Holds.of(sidecar.pid)
    more = f"{last.memory_kb - first.memory_kb} KB and {last.handles - first.handles} file handles more"
    if last.memory_kb > first.memory_kb + _MORE_MEMORY_KB or last.handles > first.handles:
        raise DemoError(70, f"after {sum(answers.values())} requests the sidecar holds {more}: {first} {last}")
    if not rest.get(f"{url}/readyz")["ready"]:
        raise DemoError(70, f"the sidecar is not ready any more: {processes.last_words('api-sidecar')}")
    said = processes.log("api-sidecar").read_text(encoding="utf-8", errors="replace")
    if "panicked" in said:
        raise DemoError(70, f"the sidecar panicked (log: {processes.log('api-sidecar')})")
    return answers, more


def _round(console: Console, processes: Processes, folder: Path, url: str, round_: int) -> Counter[str]:
    tally = folder / "tally.json"
    name = f"api-round-{round_}"
    try:
        processes.run(name, [
            str(_VENV / "bin" / "schemathesis"), "--config-file", str(_FOLDER / "schemathesis.toml"), "run", str(ROOT / "proto" / "openapi.yaml"),
            "--url", url, "--max-response-time", str(_SLOWEST_S), "--max-examples", str(_EXAMPLES),
            # What it lists systematically is the same in every round.
            "--phases", "fuzzing" if round_ else "examples,coverage,fuzzing",
            "--seed", str(_SEED + round_), "--continue-on-failure", "--no-color",
        ], SCHEMATHESIS_HOOKS="schemathesis_hooks", PYTHONPATH=str(_FOLDER), SPILLWAY_API_TALLY=str(tally))
    except DemoError:
        said = (LOGS / f"{name}.out").read_text(encoding="utf-8", errors="replace").splitlines()
        console.step("\n".join(["", *said[-_QUOTED_LINES:], "", f"(the whole output: {LOGS / name}.out)"]))
        raise
    return Counter(json.loads(tally.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class _Holds:
    """What a process holds of the machine."""

    memory_kb: int
    handles: int

    @classmethod
    def of(cls, pid: int) -> "_Holds":
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        memory = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return cls(int(memory.split()[1]), len(os.listdir(f"/proc/{pid}/fd")))


def _write(answers: Counter[str]) -> None:
    """What was answered how often, for who wants to know how far the requests went."""
    lines = [f"{count:6} {answer}\n" for answer, count in sorted(answers.items())]
    (LOGS / "api-answers.txt").write_text("".join(lines), encoding="utf-8")
