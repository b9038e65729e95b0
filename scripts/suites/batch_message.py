"""Batches as valves send them (proto/), for tests and experiments that have no valve."""

from __future__ import annotations

from typing import Sequence


def batch(name: str, job: str, records: Sequence[bytes], window_ms: int, event_time_ms: int) -> bytes:
    """The message `spillway.v1.Batch` of workload `wordcount`, every record at the same event time."""
    return b"".join([
        _field(1, name.encode("utf-8", "replace")), _field(2, job.encode("utf-8", "replace")), _field(3, b"wordcount"),
        _varint(4 << 3) + _varint(window_ms), _varint(5 << 3) + _varint(event_time_ms << 1),
        _field(6, bytes(len(records))), _field(7, b"".join(_varint(len(record)) for record in records)),
        _field(8, b"".join(records)),
    ])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content
