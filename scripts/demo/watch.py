"""Follows a run until Flink says that the job has finished."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path

from . import rest
from .console import Console
from .errors import EX_SOFTWARE, DemoError
from .options import Options
from .processes import Processes
from .samples import Sample, Samples
from .services import Cluster, Job

_POLL_S = 0.2
_STATE_EVERY_S = 0.6
# The records are all due and the job neither ends nor gets on: something is stuck.
_STALLED_AFTER_S = 60.0
# One restart may be a fault of the machine, and exactly-once stands it; more are a fault of the job.
_MOST_RESTARTS = 3
_OVER = {"FINISHED", "FAILED", "CANCELED", "SUSPENDED"}


class Watch:
    """Polls the sidecar for counts and Flink for the job's state."""

    def __init__(self, options: Options, processes: Processes, console: Console, cluster: Cluster, job: Job, sidecar_url: str) -> None:
        self._options, self._processes, self._console = options, processes, console
        self._cluster, self._job, self._sidecar_url = cluster, job, sidecar_url
        self.samples = Samples()
        self.kill_ms: int | None = None
        self.finished_ms = 0
        self.restarts = 0
        self._moved = time.monotonic()

    def until_finished(self, raw: Path) -> None:
        """Returns when the job has finished; raw samples go to a file. Raises DemoError if it fails or stalls."""
        state, next_state = "CREATED", 0.0
        with open(raw, "w", encoding="utf-8") as file:
            while state not in _OVER:
                began = time.monotonic()
                self._kill_when_due()
                sample = self._sample()
                if sample:
                    file.write(json.dumps(asdict(sample)) + "\n")
                if began >= next_state:
                    state, next_state = self._state(state), began + _STATE_EVERY_S
                    self._processes.must_live()
                self._console.live(self._line(sample, state))
                self._check_progress()
                time.sleep(max(0.0, began + _POLL_S - time.monotonic()))
            self._sample()
        self.finished_ms = _now_ms()
        if state != "FINISHED":
            raise DemoError(EX_SOFTWARE, f"Flink says that the job is {state}: {self._job.cause()}")

    def _state(self, before: str) -> str:
        try:
            state = self._job.state()
            self._restarted(self._job.restarts())
        except rest.Unreachable:
            # A busy JobManager may be late with an answer; one that is gone is found by the stall.
            return before
        return state

    def _restarted(self, times: int) -> None:
        """Flink tells of so many restarts. Never fewer than before: a JobManager that is replaced counts anew."""
        if times <= self.restarts:
            return
        self.restarts = times
        self._console.step(f"Flink restarts the job: {self._job.cause()}")
        if times > _MOST_RESTARTS:
            raise DemoError(EX_SOFTWARE, f"the job failed {times} times: {self._job.cause()}")

    def _sample(self) -> Sample | None:
        count = self._received()
        try:
            sample = self.samples.add(rest.get(f"{self._sidecar_url}/v1/status"), _now_ms())
        except rest.Unreachable:
            return None
        if self._received() != count or _now_ms() < self._job.due_start_ms + self._options.phases.end_ms:
            self._moved = time.monotonic()
        return sample

    def _received(self) -> int:
        last = self.samples.samples[-1] if self.samples.samples else None
        return last.kept + last.diverted + last.bounced if last else 0

    def _check_progress(self) -> None:
        if time.monotonic() - self._moved > _STALLED_AFTER_S:
            raise DemoError(EX_SOFTWARE, f"the job stands still: no record was settled for {_STALLED_AFTER_S:.0f} s; {self._job.cause()}")

    def _kill_when_due(self) -> None:
        kill = self._options.kill
        if kill is None or self.kill_ms is not None:
            return
        if _now_ms() >= self._job.due_start_ms + kill.due_offset_ms(self._options.phases):
            pid = self._cluster.state()["taskmanager_pids"][0]
            os.kill(pid, signal.SIGKILL)
            self.kill_ms = _now_ms() - self._job.due_start_ms
            self._console.step(f"killed the TaskManager (process {pid}) with SIGKILL {self.kill_ms / 1_000:.1f} s into the run")

    def _line(self, sample: Sample | None, state: str) -> str:
        offset = (_now_ms() - self._job.due_start_ms) / 1_000
        if offset < 0:
            return f"first record due in {-offset:.0f} s  (job {state})"
        if sample is None:
            return f"{offset:5.1f} s  no answer from the sidecar  (job {state})"
        valves = self.samples.last_status.get("valves") or []
        now = {name: sum(valve.get(f"{name}_per_s") or 0 for valve in valves) for name in ("received", "kept", "diverted")}
        done = (sample.kept + sample.diverted + sample.bounced) / self._options.profile.records
        return (f"{offset:5.1f} s  {now['received'] / 1e3:6.0f} k/s in  {now['kept'] / 1e3:6.0f} k/s local  "
                f"{now['diverted'] / 1e3:6.0f} k/s diverted  {min(done, 1):4.0%} settled  {sample.mode or '-'}  (job {state})")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
