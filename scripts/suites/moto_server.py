"""python moto_server.py PORT: moto's server, which is also spoken to in Smithy's RPC v2 CBOR.

Runs in moto's own virtual environment. moto 5.2 knows CloudWatch's JSON and query protocols only, while the AWS SDK for
Rust speaks CBOR since aws-sdk-cloudwatch 1.100. What arrives in CBOR is handed on as JSON, and the answer back as CBOR;
what a request means is moto's business. Two things are ours: `GetMetricData` is answered in pages, as CloudWatch may at any
time and moto never does, and `GET /asked` lists all that has arrived in CBOR.
"""

from __future__ import annotations

import datetime
import gzip
import io
import json
import re
import sys
import uuid

import cbor2
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

# Small enough for 500 results to be several pages.
_RESULTS_A_PAGE = 200

_REFUSAL = re.compile(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)
_OPERATION = re.compile(r"^/service/(?P<service>\w+)/operation/(?P<operation>\w+)$")


class Translator:
    """A WSGI application in front of moto's."""

    def __init__(self, app) -> None:
        self._app = app
        self._asked: list[dict] = []
        # What is left of an answer, by the token that fetches it.
        self._left: dict[str, list] = {}

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path == "/asked":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._asked).encode()]
        found = _OPERATION.match(path)
        if not found:
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.pop("HTTP_CONTENT_ENCODING", "") == "gzip":
            body = gzip.decompress(body)
        text = json.dumps(cbor2.loads(body) if body else {}, default=_seconds).encode()
        asked = json.loads(text)
        self._asked.append({"operation": found["operation"], "input": asked})
        if asked.get("NextToken") in self._left:
            status, answer = "200 OK", {"MetricDataResults": self._left.pop(asked["NextToken"])}
        else:
            environ |= {
                "PATH_INFO": "/", "CONTENT_TYPE": "application/x-amz-json-1.0", "CONTENT_LENGTH": str(len(text)),
                "wsgi.input": io.BytesIO(text), "HTTP_X_AMZ_TARGET": f"{found['service']}.{found['operation']}",
            }
            status, answer = self._ask(environ)
        content = cbor2.dumps(_with_times(self._page(answer)))
        start_response(status, [
            ("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"), ("Content-Length", str(len(content))),
        ])
        return [content]

    def _ask(self, environ) -> tuple[str, dict]:
        told = {}

        def remember(status, _headers, _error=None):
            told["status"] = status

        answer = b"".join(self._app(environ, remember))
        if answer.startswith(b"<"):
            # Whom moto does not let in is told so in XML, whatever he speaks.
            code, message = _REFUSAL.search(answer.decode()).groups()
            return told["status"], {"__type": code, "message": message}
        return told["status"], json.loads(answer) if answer else {}

    def _page(self, answer: dict) -> dict:
        """The first page of it, with a token if there is more."""
        results = answer.get("MetricDataResults", [])
        if len(results) <= _RESULTS_A_PAGE:
            return answer
        token = uuid.uuid4().hex
        self._left[token] = results[_RESULTS_A_PAGE:]
        return answer | {"MetricDataResults": results[:_RESULTS_A_PAGE], "NextToken": token}


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
