"""`moto`, which plays AWS services over HTTP: for what speaks to CloudWatch. Pinned, in a virtual environment of its own."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from demo.console import Console
from demo.errors import DemoError
from demo.options import ROOT
from demo.processes import Processes, wait_until

from .step import Step
from .tally import Tally

_VERSION = "5.2.5"
_BOTO_VERSION = "1.44.5"
_CBOR_VERSION = "6.2.1"
_VENV = ROOT / "target" / "moto"
# Written last, so that a half-made environment is made anew.
_READY = _VENV / "ready"
PYTHON = _VENV / "bin" / "python"
_START_TIMEOUT_S = 30.0

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def install(console: Console) -> Tally:
    """Installs it if it is missing."""
    if _READY.exists():
        return Tally()
    packages = f"'moto[server]=={_VERSION}' boto3=={_BOTO_VERSION} botocore=={_BOTO_VERSION} cbor2=={_CBOR_VERSION}"
    return Step("install moto", ["sh", "-c", f"'{sys.executable}' -m venv '{_VENV}' && '{_VENV}/bin/pip' -q install {packages} && touch '{_READY}'"]).run(console)


def start(processes: Processes) -> str:
    """Starts the server on a free port; returns its URL."""
    port = _free_port()
    # -I: else this file, which lies beside the server's, would be taken for moto itself.
    server = processes.start("moto", [str(PYTHON), "-I", str(Path(__file__).with_name("moto_server.py")), str(port)], **CREDENTIALS)
    if not wait_until(lambda: _listens(port) or server.poll() is not None, _START_TIMEOUT_S) or server.poll() is not None:
        raise DemoError(70, f"moto did not start: {processes.last_words('moto')}")
    return f"http://127.0.0.1:{port}"


def ask(processes: Processes, url: str, program: str) -> object:
    """Runs a program with boto3 at hand, whose clients go to `url`; returns the JSON that it prints."""
    environment = CREDENTIALS | {"AWS_ENDPOINT_URL": url}
    return json.loads(processes.run("boto", [str(PYTHON), "-c", program], **environment))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
