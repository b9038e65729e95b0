"""The burst function runs under `cargo lambda watch` too, the emulator that Lambda users in Rust know."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import sys
import tempfile
import urllib.request
from pathlib import Path

from demo import services
from demo.console import Console
from demo.errors import DemoError
from demo.machine import Placement
from demo.options import ROOT
from demo.processes import Processes, wait_until

from .step import LOGS, Step
from .tally import Tally

_VERSION = "1.9.2"
_VENV = ROOT / "target" / "cargo-lambda"
_TOOL = _VENV / "bin" / "cargo-lambda"
# The first invocation may wait for a build of what the workspace's own build has not made yet.
_BUILD_TIMEOUT_S = 600


def run(console: Console) -> Tally:
    """Installs the emulator if it is missing, and has it run one invocation."""
    total = Tally()
    if not _TOOL.exists():
        total += Step("install cargo-lambda", ["sh", "-c", f"'{sys.executable}' -m venv '{_VENV}' && '{_VENV}/bin/pip' -q install cargo-lambda=={_VERSION}"]).run(console)
    binaries = [part for name in ("spillway-local-cloud", "spillway-burst") for part in ("--bin", name)]
    total += Step("build the function", ["cargo", "build", "--release", "--color", "never", *binaries]).run(console)
    if total.failed:
        return total
    try:
        with tempfile.TemporaryDirectory(prefix="spillway-smoke-") as folder, Processes(LOGS) as processes:
            _invoke_once(console, processes, Path(folder))
    except DemoError as error:
        console.step(f"  cargo lambda watch: FAILED {error}")
        return total + Tally(failed=1)
    console.step("  cargo lambda watch: one invocation gave its receipt, and the partial is what the receipt says")
    return total + Tally(passed=1)


def _invoke_once(console: Console, processes: Processes, folder: Path) -> None:
    vectors = json.loads((ROOT / "proto" / "vectors" / "batch.json").read_text(encoding="utf-8"))
    vector = next(vector for vector in vectors if vector["valid"] and vector["workload"] == "wordcount")
    batch = base64.b64decode(vector["batch_base64"])
    cloud = services.LocalCloud.start(processes, Placement((), ()), folder)
    port = _free_port()
    environment = services.AWS | {"SPILLWAY_DESTINATION": services.OUTPUT, "AWS_ENDPOINT_URL_S3": cloud.s3_url}
    processes.log("cargo-lambda").unlink(missing_ok=True)
    emulator = processes.start("cargo-lambda", [
        str(_TOOL), "lambda", "watch", "--release", "--ignore-changes", "--color", "never", "-p", "spillway-lambda-fn", "--bin", services.FUNCTION,
        "--invoke-address", "127.0.0.1", "--invoke-port", str(port),
        *(part for pair in environment.items() for part in ("--env-var", "=".join(pair))),
    ], **environment)
    console.live("waiting for cargo lambda watch")
    if not wait_until(lambda: _listens(port) or emulator.poll() is not None, 60) or emulator.poll() is not None:
        raise DemoError(70, f"cargo lambda watch did not start: {processes.last_words('cargo-lambda')}")
    console.live("invoking the function, which cargo lambda watch builds first")
    answer = _invoke(f"http://127.0.0.1:{port}/2015-03-31/functions/{services.FUNCTION}/invocations", {
        "batch": base64.b64encode(_lz4_literals(batch)).decode(), "encoding": "lz4", "size": len(batch),
    })
    receipt = answer.get("receipt") or {}
    if (receipt.get("batch"), receipt.get("windows")) != (vector["id"], vector["receipt_windows"]):
        raise DemoError(70, f"the answer holds no receipt for {vector['id']}: {json.dumps(answer)}")
    # The local cloud keeps a bucket's objects as files.
    partial = folder / "s3" / services.LOCATION.removeprefix("s3://") / receipt["object"]
    if not partial.exists() or hashlib.sha256(partial.read_bytes()).hexdigest() != receipt["sha256"]:
        raise DemoError(70, f"the partial is not what the receipt says: {json.dumps(receipt)}")


def _invoke(url: str, event: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(event).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_BUILD_TIMEOUT_S) as answer:
            return json.load(answer)
    except (OSError, ValueError) as error:
        raise DemoError(70, f"the invocation failed: {error}") from error


def _lz4_literals(data: bytes) -> bytes:
    """An LZ4 block that only copies: one sequence of literals, which is how every block may end."""
    if len(data) < 15:
        return bytes([len(data) << 4]) + data
    more, rest = divmod(len(data) - 15, 255)
    return b"\xf0" + b"\xff" * more + bytes([rest]) + data


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
