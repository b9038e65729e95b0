"""python moto_server.py PORT: moto's server, which is also spoken to in Smithy's RPC v2 CBOR.

Runs in moto's own virtual environment. moto 5.2 knows CloudWatch's JSON and query protocols only, while the AWS SDK for
Rust speaks CBOR since aws-sdk-cloudwatch 1.100. What arrives in CBOR is handed on as JSON, and the answer back as CBOR;
what a request means is moto's business.
"""

from __future__ import annotations

import datetime
import gzip
import io
import json
import re
import sys

import cbor2
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

_OPERATION = re.compile(r"^/service/(?P<service>\w+)/operation/(?P<operation>\w+)$")


class Translator:
    """A WSGI application in front of moto's."""

    def __init__(self, app) -> None:
        self._app = app

    def __call__(self, environ, start_response):
        found = _OPERATION.match(environ.get("PATH_INFO", ""))
        if not found:
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.pop("HTTP_CONTENT_ENCODING", "") == "gzip":
            body = gzip.decompress(body)
        text = json.dumps(cbor2.loads(body) if body else {}, default=_seconds).encode()
        environ |= {
            "PATH_INFO": "/", "CONTENT_TYPE": "application/x-amz-json-1.0", "CONTENT_LENGTH": str(len(text)),
            "wsgi.input": io.BytesIO(text), "HTTP_X_AMZ_TARGET": f"{found['service']}.{found['operation']}",
        }
        told = {}

        def remember(status, headers, _error=None):
            told.update(status=status, headers=headers)

        answer = b"".join(self._app(environ, remember))
        content = cbor2.dumps(_with_times(json.loads(answer) if answer else {}))
        start_response(told["status"], [
            ("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"), ("Content-Length", str(len(content))),
        ])
        return [content]


def _seconds(value: object) -> float:
    """CBOR's times as JSON has them: seconds since the epoch."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} has no form in JSON")


def _with_times(value: object, name: str = "") -> object:
    """JSON's numbers that are times, by the name of their field, as CBOR has them."""
    if isinstance(value, dict):
        return {key: _with_times(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_times(inner, name) for inner in value]
    if name.startswith("Timestamp") and isinstance(value, (int, float)):
        return cbor2.CBORTag(1, value)
    return value


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Translator(DomainDispatcherApplication(create_backend_app)),
               threaded=True, request_handler=MotoRequestHandler)
