"""Stands between valve and sidecar: passes everything on, watches the reports, and breaks what it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable

_HEAD_LIMIT = 1 << 16
_UPSTREAM_TIMEOUT_S = 60.0
# After so long a valve gives a report's answer up (HttpReportTransport); of a batch it says itself.
_REPORT_DEADLINE_S = 1.0


@dataclass
class Trouble:
    """What is to go wrong. `struck` counts how often it did. `delay_ms`: of a late answer, beyond the sender's deadline."""

    name: str
    on: str = "both"
    at: str = ""
    delay_ms: int = 0
    struck: int = 0

    def concerns(self, method: str) -> bool:
        """Whether it is about this kind of request."""
        return self.on == "both" or (self.on == "batches") == (method == "PUT")


@dataclass
class Report:
    """A valve's report as it passed by. `at` is monotonic, in seconds."""

    at: float
    wall_ms: int
    subtask: int
    fields: dict[str, Any] = field(repr=False)


class _Hangup(Exception):
    """This connection is over."""


class Proxy:
    """HTTP/1.1 from one port of loopback to another, a request at a time on each connection."""

    def __init__(self, port: int, upstream: int) -> None:
        self._port, self._upstream = port, upstream
        self._troubles: list[Trouble] = []
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self.reports: list[Report] = []
        # How many requests came from valves, and how many answers from the sidecar.
        self.requests = self.answers = 0

    def start(self) -> None:
        """Listens."""
        self._thread.start()
        self._call(self._listen)

    def stop(self) -> None:
        """Ends all connections and the thread."""
        async def end() -> None:
            await self._close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        self._call(end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin(self, trouble: Trouble) -> None:
        """From now on this goes wrong."""
        async def add() -> None:
            # The newest comes first, or it would not be seen behind one that takes every request.
            self._troubles.insert(0, trouble)
            if trouble.name == "refused":
                await self._close()
        self._call(add)

    def end(self, trouble: Trouble) -> None:
        """From now on this goes well again."""
        async def remove() -> None:
            self._troubles.remove(trouble)
            if not any(other.name == "refused" for other in self._troubles) and self._server is None:
                await self._listen()
        self._call(remove)

    def lead_to(self, upstream: int) -> None:
        """From now on new connections lead to another port. Those that there are stay what they are."""
        async def lead() -> None:
            self._upstream = upstream
        self._call(lead)

    # ------------------------------------------------------------------ in the loop's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, function: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(function(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=1 << 20, reuse_address=True)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._connections):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            try:
                up_reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream, limit=1 << 20)
            except OSError:
                # What the client would have seen without us; but its reports say how it fares, so they are read.
                head, body = await _message(reader)
                self._watch(head, body)
                raise _Hangup from None
            while True:
                await self._exchange(reader, writer, up_reader, upstream)
        except (_Hangup, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._connections.discard(writer)
            for end in (writer, upstream):
                if end:
                    end.close()

    async def _exchange(self, reader, writer, up_reader, upstream) -> None:
        head, body = await _message(reader)
        came = time.monotonic()
        self._watch(head, body)
        method = head.split(b" ", 1)[0].decode("ascii", "replace")
        trouble = next((trouble for trouble in self._troubles if trouble.name != "refused" and trouble.concerns(method)), None)
        if trouble is None:
            writer.write(await self._answer(head + body, up_reader, upstream))
            await writer.drain()
            return
        if trouble.name == "black_hole":
            trouble.struck += 1
            # Until the sender gives up; nothing arrives anywhere.
            await reader.read(1)
            raise _Hangup
        if trouble.name == "reset" and trouble.at == "request":
            upstream.write((head + body)[: len(head) + len(body) // 2])
            await upstream.drain()
            _reset(upstream)
            trouble.struck += 1
            raise _Hangup
        answer = await self._answer(head + body, up_reader, upstream)
        if trouble.name == "reset":
            trouble.struck += 1
            if trouble.at == "half_answer":
                writer.write(answer[: len(answer) // 2])
                await writer.drain()
            raise _Hangup
        if trouble.name == "late":
            await asyncio.sleep(max(0.0, came + _deadline_s(head) + trouble.delay_ms / 1_000 - time.monotonic()))
            trouble.struck += 1
        trouble.struck += trouble.name == "twice"
        writer.write(answer * (2 if trouble.name == "twice" else 1))
        await writer.drain()

    async def _answer(self, request: bytes, up_reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> bytes:
        upstream.write(request)
        head, body = await asyncio.wait_for(_message(up_reader), _UPSTREAM_TIMEOUT_S)
        self.answers += 1
        return head + body

    def _watch(self, head: bytes, body: bytes) -> None:
        self.requests += 1
        if head.startswith(b"POST /v1/jobs/"):
            try:
                subtask = int(head.split(b" ", 2)[1].rsplit(b"/", 1)[1])
                fields = json.loads(body)
            except ValueError:
                return
            fields.pop("latency", None)
            self.reports.append(Report(time.monotonic(), time.time_ns() // 1_000_000, subtask, fields))


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next message's head and body; both sides send a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    if _header(head, b"transfer-encoding"):
        raise ValueError("chunks are not understood")
    return head, await reader.readexactly(int(_header(head, b"content-length") or 0))


def _header(head: bytes, wanted: bytes) -> str | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == wanted:
            return value.strip().decode("ascii", "replace")
    return None


def _deadline_s(head: bytes) -> float:
    """How long the sender waits for an answer."""
    told = _header(head, b"spillway-deadline-ms")
    return int(told) / 1_000 if told else _REPORT_DEADLINE_S


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection the hard way: the other side gets a RST."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()
