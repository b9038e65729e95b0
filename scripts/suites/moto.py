"""`moto`, which plays AWS services over HTTP: for what speaks to CloudWatch. Pinned, in a virtual environment of its own."""

from __future__ import annotations

import json
import socket
import sys

from demo.console import Console
from demo.errors import DemoError
from demo.options import ROOT
from demo.processes import Processes, wait_until

from .step import Step
from .tally import Tally

_VERSION = "5.2.5"
# Brought by moto, but in no version of its choosing: this one speaks CloudWatch's newer protocols.
_BOTO_VERSION = "1.44.5"
_VENV = ROOT / "target" / "moto"
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
    if (_VENV / "bin" / "moto_server").exists():
        return Tally()
    packages = f"'moto[server]=={_VERSION}' boto3=={_BOTO_VERSION} botocore=={_BOTO_VERSION}"
    return Step("install moto", ["sh", "-c", f"'{sys.executable}' -m venv '{_VENV}' && '{_VENV}/bin/pip' -q install {packages}"]).run(console)


def start(processes: Processes) -> str:
    """Starts the server on a free port; returns its URL."""
    port = _free_port()
    server = processes.start("moto", [str(_VENV / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], **CREDENTIALS)
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
