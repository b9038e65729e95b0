"""Flink over REST: submitting, stopping, and finding the checkpoint to go on from."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.processes import wait_until

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """Flink does not answer, or says no."""


class StoppedBadly(Exception):
    """The savepoint is made, but the job failed while it stopped. `savepoint` is the newest to go on from: some of it is committed."""

    def __init__(self, savepoint: str, why: str) -> None:
        super().__init__(why)
        self.savepoint = savepoint


@dataclass(frozen=True)
class CheckpointTime:
    """One checkpoint: when it began by the wall clock, how long it took so far, and Flink's word for its state."""

    began_ms: int
    took_ms: int
    status: str


class Flink:
    """A session cluster's REST interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, body: Any = None, timeout_s: float = 20.0) -> Any:
        """One request. Raises Refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            with _OPENER.open(request, timeout=timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {_why(error.read().decode('utf-8', 'replace'))}") from error
        except (OSError, ValueError) as error:
            raise Refused(f"{method} {path}: {error}") from error

    def taskmanagers(self) -> int:
        """How many are registered; 0 while nobody answers."""
        try:
            return self.call("GET", "/overview", timeout_s=2)["taskmanagers"]
        except Refused:
            return 0

    def free_slots(self) -> int:
        """0 while nobody answers."""
        try:
            return self.call("GET", "/overview", timeout_s=2)["slots-available"]
        except Refused:
            return 0

    def upload(self, jar: Path) -> str:
        """Hands over a jar; its id."""
        mark = uuid.uuid4().hex
        body = (f"--{mark}\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"{jar.name}\"\r\n"
                f"Content-Type: application/x-java-archive\r\n\r\n").encode() + jar.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        request = urllib.request.Request(f"{self.url}/jars/upload", body, {"Content-Type": f"multipart/form-data; boundary={mark}"})
        try:
            with _OPENER.open(request, timeout=30) as answer:
                return json.load(answer)["filename"].rsplit("/", 1)[1]
        except (OSError, ValueError) as error:
            raise Refused(f"uploading {jar}: {error}") from error

    def submit(self, jar_id: str, arguments: list[str], options: dict[str, str], restore: str | None) -> str:
        """Starts a job, from a checkpoint or savepoint if one is given; its id."""
        body = {"entryClass": "io.spillway.jobs.WordCountJob", "programArgsList": arguments, "flinkConfiguration": options}
        if restore:
            body["savepointPath"] = restore
        return self.call("POST", f"/jars/{jar_id}/run", body, timeout_s=60)["jobid"]

    def state(self, job: str, timeout_s: float = 2) -> str | None:
        """Flink's word for it; None while nobody answers or the job is not known."""
        try:
            return self.call("GET", f"/jobs/{job}/status", timeout_s=timeout_s)["status"]
        except Refused:
            return None

    def cancel(self, job: str) -> None:
        """Asks for it; the job is gone when its state says so."""
        self.call("PATCH", f"/jobs/{job}?mode=cancel")

    def stop_with_savepoint(self, job: str, folder: str, timeout_s: float = 30.0) -> str:
        """Stops a job, its unsettled batches in the savepoint; where that is.

        Raises Refused if there is no savepoint and the job goes on, StoppedBadly if there is one, but the job failed.
        """
        trigger = self.call("POST", f"/jobs/{job}/stop", {"targetDirectory": folder, "drain": False})["request-id"]
        found: dict = {}

        def done() -> bool:
            found.update(self.call("GET", f"/jobs/{job}/savepoints/{trigger}"))
            return found["status"]["id"] == "COMPLETED"

        if not wait_until(done, timeout_s, 0.1):
            raise Refused(f"the savepoint took more than {timeout_s:.0f} s")
        operation = found["operation"]
        if "location" not in operation:
            trace = operation.get("failure-cause", {}).get("stack-trace", "")
            if made := re.search(r"A savepoint has been created at: (\S+), but", trace):
                raise StoppedBadly(made[1], f"the job failed while it stopped: {_why(trace)}")
            raise Refused(f"the savepoint failed: {_why(trace)}")
        return operation["location"]

    def jobs(self) -> dict[str, str]:
        """Every job that is known, and its state."""
        return {job["id"]: job["status"] for job in self.call("GET", "/jobs")["jobs"]}

    def cause(self, job: str) -> str:
        """Why it failed last, in one line."""
        try:
            entries = self.call("GET", f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
            return _why(entries[0]["stacktrace"]) if entries else "nothing failed"
        except (Refused, KeyError):
            return "Flink tells no cause"

    def restarts(self, job: str) -> int:
        """How often it failed, at most 100; 0 while nobody answers."""
        try:
            return len(self.call("GET", f"/jobs/{job}/exceptions?maxExceptions=100", timeout_s=2)["exceptionHistory"]["entries"])
        except (Refused, KeyError):
            return 0

    def checkpoints(self, job: str) -> tuple[int, int]:
        """How many completed and how many failed; none of either while nobody answers."""
        try:
            counts = self.call("GET", f"/jobs/{job}/checkpoints", timeout_s=2)["counts"]
            return counts["completed"], counts["failed"]
        except (Refused, KeyError):
            return 0, 0

    def newest(self, name: str) -> str | None:
        """The id of the job of that name that was submitted last."""
        found = [job for job in self.call("GET", "/jobs/overview", timeout_s=2)["jobs"] if job["name"] == name]
        return max(found, key=lambda job: job["start-time"])["jid"] if found else None

    def restored_from(self, job: str) -> str | None:
        """The checkpoint that the job was restored from last."""
        restored = self.call("GET", f"/jobs/{job}/checkpoints", timeout_s=5)["latest"]["restored"]
        return restored["external_path"] if restored else None

    def checkpoint_times(self, job: str) -> list[CheckpointTime]:
        """What Flink's history still has of them (`web.checkpoints.history`), savepoints left out."""
        history = self.call("GET", f"/jobs/{job}/checkpoints", timeout_s=5)["history"]
        return [CheckpointTime(entry["trigger_timestamp"], entry["end_to_end_duration"], entry["status"])
                for entry in history if not entry["is_savepoint"]]

    def handed_on(self, job: str, operator: str) -> int | None:
        """How many records a vertex has handed on; None while that is not known."""
        try:
            vertices = self.call("GET", f"/jobs/{job}", timeout_s=2)["vertices"]
            vertex = next(vertex["id"] for vertex in vertices if operator in vertex["name"].lower())
            found = self.call("GET", f"/jobs/{job}/vertices/{vertex}/subtasks/metrics?get=numRecordsOut&agg=sum", timeout_s=2)
            return int(found[0]["sum"]) if found else None
        except (Refused, StopIteration):
            return None

    def busy_taskmanagers(self) -> list[str]:
        """Ids of those that have a slot in use; none while nobody answers."""
        try:
            found = self.call("GET", "/taskmanagers", timeout_s=0.5)["taskmanagers"]
        except (Refused, KeyError):
            return []
        return sorted(each["id"] for each in found if each["freeSlots"] < each["slotsNumber"])

    def taskmanagers_of(self, job: str, operator: str) -> set[str]:
        """Ids of those that run an operator."""
        vertices = [vertex["id"] for vertex in self.call("GET", f"/jobs/{job}")["vertices"] if operator in vertex["name"]]
        return {subtask["taskmanager-id"] for vertex in vertices for subtask in self.call("GET", f"/jobs/{job}/vertices/{vertex}")["subtasks"]}


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest completed checkpoint in a job's folder: Flink writes `_metadata` last, and whole."""
    found = [(int(path.name.removeprefix("chk-")), path) for path in folder.glob("chk-*") if (path / "_metadata").is_file()]
    return max(found)[1] if found else None


def _why(text: str) -> str:
    """The innermost cause of a stack trace, or the text's start, in one line."""
    causes = re.findall(r"(?:Caused by: )?(\S*(?:Exception|Error): [^\n\\]+)", text)
    return (causes[-1] if causes else text.strip().replace("\n", " "))[:300]
