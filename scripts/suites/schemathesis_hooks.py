"""Loaded by schemathesis in its own virtual environment: what batches look like, and a tally of the answers."""

from __future__ import annotations

import atexit
import base64
import json
import os
import zlib
from collections import Counter
from pathlib import Path

import batch_message
import schemathesis
from hypothesis import strategies as st

_MEDIA_TYPE = "application/x-protobuf"
_VECTORS = [
    base64.b64decode(vector["batch_base64"])
    for vector in json.loads((Path(__file__).parents[2] / "proto" / "vectors" / "batch.json").read_text(encoding="utf-8"))
]
# Stands for a batch under the id and job of the request's own path, which are drawn after the body.
_OWN = b"own batch:"
_EVENT_TIME_MS, _WINDOW_MS = 1_767_225_600_000, 1_000
_NO_TIME_MS = 1_000


def _mutated(content: bytes, position: int, removed: int, inserted: bytes) -> bytes:
    position %= len(content) + 1
    return content[:position] + inserted + content[position + removed:]


_some = st.sampled_from(_VECTORS)
_mutation = st.builds(_mutated, _some, st.integers(0, 1 << 16), st.integers(0, 16), st.binary(max_size=16))
_records = st.lists(st.binary(max_size=64), min_size=1, max_size=8)
_own = _records.map(lambda records: _OWN + b"\n".join(records))
schemathesis.openapi.media_type(_MEDIA_TYPE, _own | _some | _mutation | st.binary(max_size=4_096))


@schemathesis.serializer(_MEDIA_TYPE)
def serialize(context, value):
    """Bytes as they are; a batch of its own gets the names in its path."""
    if isinstance(value, bytes) and value.startswith(_OWN):
        path = context.case.path_parameters or {}
        records = value.removeprefix(_OWN).split(b"\n")
        return batch_message.batch(str(path.get("batch")), str(path.get("job")), records, _WINDOW_MS, _EVENT_TIME_MS)
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.hook
def map_body(_context, body):
    """To JSON Schema 7.0 is an integer, to most who read JSON it is none: the sidecar's are written without a fraction."""
    if isinstance(body, dict):
        return {key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in body.items()}
    return body


@schemathesis.hook
def map_headers(_context, headers):
    """Nearly no ETag that is drawn is that of the policy in force: three of four become the one that always fits."""
    tag = (headers or {}).get("If-Match")
    if isinstance(tag, str) and tag.startswith('"') and zlib.crc32(tag.encode("utf-8", "replace")) % 4:
        return {**headers, "If-Match": "*"}
    return headers


@schemathesis.hook
def filter_failure(_context, failure, case, response):
    """No receipt within a deadline that is no time at all is no fault of the sidecar's."""
    if response.status_code not in (503, 504):
        return True
    deadline = str((case.headers or {}).get("Spillway-Deadline-Ms", ""))
    return not (deadline.isdigit() and int(deadline) < _NO_TIME_MS)


_answers: Counter[str] = Counter()


@schemathesis.hook
def after_call(_context, case, response):
    """Counts it."""
    _answers[f"{case.operation.label} {response.status_code}"] += 1


@schemathesis.hook
def after_network_error(_context, case, request):
    """Counts a request without an answer."""
    _answers[f"{case.operation.label} none"] += 1


@atexit.register
def tell() -> None:
    """Leaves the tally where it is asked for."""
    Path(os.environ["SPILLWAY_API_TALLY"]).write_text(json.dumps(dict(sorted(_answers.items()))), encoding="utf-8")
