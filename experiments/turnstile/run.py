#!/usr/bin/env python3
"""What a cloud that allows few invocations takes: run.py NAME=SIDECAR [NAME=SIDECAR...]. See README.md."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import rows  # noqa: E402
from demo import services  # noqa: E402
from demo.machine import Placement  # noqa: E402
from demo.processes import Processes  # noqa: E402
from rows import Console  # noqa: E402
from suites.batch_message import batch  # noqa: E402

_RECORDS, _BATCHES, _ROUNDS = 45_000, 40, 7
# Allowed at once; those under way or waiting, which valves send; an answer's time beyond the work, as in the sidecar's model.
_ALLOWED, _SENT, _AWAY_MS = 2, 8, 45
_DEADLINE_MS = 20_000


def _send(url: str, name: str, lines: list[bytes]) -> None:
    message = batch(name, services.JOB, lines, services.WINDOW_MS, services.EVENT_START_MS)
    request = urllib.request.Request(f"{url}/v1/jobs/{services.JOB}/batches/{name}", data=message, method="PUT", headers={
        "Content-Type": "application/x-protobuf", "Spillway-Deadline-Ms": str(_DEADLINE_MS)})
    with urllib.request.urlopen(request, timeout=_DEADLINE_MS / 1e3) as answer:
        if json.load(answer)["batch"] != name:
            raise AssertionError(f"a receipt that is not of {name}")


def _rate(processes: Processes, folder: Path, cloud: services.LocalCloud, binary: str, attempt: str, lines: list[bytes]) -> float:
    """Batches a second that a sidecar gets settled."""
    ready = folder / "sidecar.json"
    ready.unlink(missing_ok=True)
    sidecar = processes.start("sidecar", [
        binary, "run", "--listen", "127.0.0.1:0", "--ready-file", str(ready), "--lambda-endpoint-url", cloud.lambda_url,
        "--lambda-function", services.FUNCTION, "--divert-max-concurrency", str(_ALLOWED), "--divert-queue", str(_SENT),
    ], **services.AWS)
    url = processes.ready("sidecar", sidecar, ready, 10)["url"]
    with ThreadPoolExecutor(_SENT) as pool:
        # Starts the function's instances.
        list(pool.map(lambda n: _send(url, f"{attempt}-0-{n}", lines), range(_SENT)))
        begun = time.monotonic()
        list(pool.map(lambda n: _send(url, f"{attempt}-1-{n}", lines), range(_BATCHES)))
        rate = _BATCHES / (time.monotonic() - begun)
    processes.stop("sidecar")
    return rate


def main(argv: list[str]) -> int:
    binaries = dict(argument.split("=", 1) for argument in argv)
    if not binaries:
        print(__doc__, file=sys.stderr)
        return 64
    out = rows.ROOT / "target" / "turnstile"

    def row(console: Console) -> dict:
        text = [b"some words of line %d and %d others that come again and again" % (n, n * 7919 % 1_000) for n in range(_RECORDS)]
        rates: dict[str, list[float]] = {name: [] for name in binaries}
        with tempfile.TemporaryDirectory(prefix="spillway-turnstile-") as folder, Processes(out) as processes:
            cloud = services.LocalCloud.start(processes, Placement((), ()), Path(folder))
            away = json.dumps({"lambda": [{"kind": "slow", "every": 1, "delay_ms": _AWAY_MS}]}).encode()
            urllib.request.urlopen(urllib.request.Request(f"{cloud.lambda_url}/_local/faults", data=away, method="PUT"), timeout=10).close()
            for round_ in range(_ROUNDS):
                for index, (name, binary) in enumerate(binaries.items()):
                    attempt = f"{round_ * len(binaries) + index + 1:016x}"
                    rates[name].append(_rate(processes, Path(folder), cloud, binary, attempt, text))
                    console.step(f"  {name}: {rates[name][-1]:.1f} batches/s")
        medians = {name: statistics.median(found) for name, found in rates.items()}
        first = next(iter(medians.values()))
        return {"batches_per_s": rates, "summary": {name: {"median_batches_per_s": round(median, 2), "ratio": round(median / first, 3)}
                                                    for name, median in medians.items()}}

    return rows.measure("experiments/turnstile/run.py", argv, [("few", "two invocations at once", row)], HERE / "results", out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
