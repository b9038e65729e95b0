"""One run's job, over all its submissions: from a checkpoint, from a savepoint, at another parallelism."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Callable

from demo.errors import EX_SOFTWARE, DemoError
from demo.processes import wait_until
from demo.services import BUCKET, EVENT_START_MS, WINDOW_MS

from .flink import Flink, Refused, StoppedBadly, latest_checkpoint
from .schedule import Schedule, another_parallelism
from .world import PREFIX, World

_OVER = ("FINISHED", "FAILED", "CANCELED")
_GONE_S, _UP_S = 25.0, 40.0
# More checkpoints than a fault lasts.
_STONES = 40
_SAVEPOINT_S = 15.0
_NEVER_MS = 24 * 3_600_000
# How long a job that was restored may take until it has done something, before that is given up.
_WORKS_S = 10.0


class Job:
    """What is submitted, and where it goes on from. Operations exclude each other; looking on does not."""

    def __init__(self, world: World, schedule: Schedule, input_file: Path, due_start_ms: int, say: Callable[[str], None],
                 paced: bool = True, valve: bool = True) -> None:
        self._world, self._schedule, self._input = world, schedule, input_file
        self._due_start_ms, self._say = due_start_ms, say
        self._paced, self._valve = paced, valve
        self._lock = threading.RLock()
        self.parallelism = schedule.setup.parallelism
        self.id: str | None = None
        # What the submission before this one came to, if that was its own.
        self.restored_from: str | None = None
        self.submissions = 0
        # Of each submission: restarts by Flink, checkpoints that completed, and those that failed, as last heard.
        self._stock: dict[str, tuple[int, int, int]] = {}
        # What gc removed while it ran: the objects.
        self.collected: set[str] = set()

    @property
    def _flink(self) -> Flink:
        return self._world.flink

    @property
    def location(self) -> str:
        """The job's folder in S3."""
        return f"s3://{BUCKET}/{PREFIX}/{self._schedule.name}"

    def checkpoints(self) -> str:
        """Where Flink keeps them, as a URI."""
        if self._schedule.setup.checkpoints_in_s3:
            return f"s3://{BUCKET}/checkpoints/{self._schedule.name}"
        return f"file://{self._folder()}"

    def _folder(self) -> Path:
        """The same as a folder: local-cloud keeps objects as files."""
        if self._schedule.setup.checkpoints_in_s3:
            return self._world.s3_root / BUCKET / "checkpoints" / self._schedule.name
        return self._world.folder / "checkpoints" / self._schedule.name

    def submit(self, restore: str | None = None, checkpoints: bool = True) -> None:
        """Starts it, or goes on from `restore`; without `checkpoints` it completes none."""
        setup = self._schedule.setup
        arguments = [
            "--input", str(self._input), "--profile", setup.profile, "--start", str(EVENT_START_MS), "--window", f"{WINDOW_MS}ms",
            "--due", str(self._due_start_ms), "--output", f"s3://{BUCKET}/{PREFIX}", "--job", self._schedule.name,
            *(["--sidecar", self._world.url("proxy")] if self._valve else ["--valve", "off"]), *([] if self._paced else ["--unpaced"]),
            "--checkpoint-interval", f"{setup.checkpoint_ms if checkpoints else _NEVER_MS}ms",
            "--parallelism", str(self.parallelism), *(["--lane-apart"] if setup.lane_apart else []),
            f"-Dspillway.valve.batch.max-records={setup.batch_records}",
            f"-Dspillway.valve.batch.linger={setup.batch_linger_ms} ms",
            f"-Dspillway.valve.batch.deadline={setup.batch_deadline_ms} ms",
        ]
        options = {
            "execution.checkpointing.dir": self.checkpoints(),
            "execution.checkpointing.tolerable-failed-checkpoints": str(setup.tolerable_failed_checkpoints),
        }
        with self._lock:
            self.id = self._submit(arguments, options, restore)
            self.restored_from = restore
            self.submissions += 1

    def _submit(self, arguments: list[str], options: dict[str, str], restore: str | None) -> str:
        """S3 may be broken just now; what Flink says of that must not end the run."""
        trouble = ""
        deadline = time.monotonic() + _UP_S
        while time.monotonic() < deadline:
            known = self._known()
            try:
                return self._flink.submit(self._world.jar_id, arguments, options, restore)
            except Refused as refused:
                trouble = str(refused)
            # It may have been started although the answer was lost.
            if started := [job for job in self._known() if job not in known]:
                return started[0]
            self._say(f"Flink did not take the job: {trouble}")
            time.sleep(0.5)
        raise DemoError(EX_SOFTWARE, f"the job cannot be submitted: {trouble}")

    def _known(self) -> list[str]:
        try:
            return list(self._flink.jobs())
        except Refused:
            return []

    def latest(self) -> str | None:
        """Where it has to go on from: its newest completed checkpoint, or else what it was restored from."""
        newest = latest_checkpoint(self._folder() / str(self.id))
        return f"{self.checkpoints()}/{self.id}/{newest.name}" if newest else self.restored_from

    def oldest(self) -> str | None:
        """The oldest checkpoint that Flink still has."""
        kept = sorted((self._folder() / str(self.id)).glob("chk-*/_metadata"), key=lambda path: int(path.parent.name.removeprefix("chk-")))
        return f"{self.checkpoints()}/{self.id}/{kept[0].parent.name}" if kept else None

    def state(self) -> str | None:
        """Flink's word for it; None while it cannot be said."""
        with self._lock:
            return self._flink.state(self.id) if self.id else None

    def at_work(self) -> bool:
        """Whether it runs and nobody is changing that; keeps nobody waiting."""
        if not self.id or not self._lock.acquire(blocking=False):
            return False
        try:
            return self._flink.state(self.id, 0.5) == "RUNNING"
        finally:
            self._lock.release()

    def goes_on(self) -> bool:
        """Whether it has not ended; keeps nobody waiting."""
        return bool(self.id) and self._flink.state(self.id, 0.5) not in (None, *_OVER)

    def take_stock(self) -> None:
        """Asks for this submission's restarts and checkpoints, before its JobManager forgets them."""
        if submission := self.id:
            found = (self._flink.restarts(submission), *self._flink.checkpoints(submission))
            self._stock[submission] = tuple(map(max, found, self._stock.get(submission, found)))

    @property
    def flink_restarts(self) -> int:
        """Of all submissions, as last heard."""
        return sum(restarts for restarts, _, _ in self._stock.values())

    @property
    def checkpoints_completed(self) -> int:
        """Of all submissions, as last heard."""
        return sum(completed for _, completed, _ in self._stock.values())

    @property
    def checkpoints_failed(self) -> int:
        """Of all submissions, as last heard."""
        return sum(failed for _, _, failed in self._stock.values())

    def failed_checkpoints(self) -> int:
        """The same of now."""
        self.take_stock()
        return self.checkpoints_failed

    def failed_in(self, submission: str, start_ms: int, end_ms: int) -> int:
        """How many of a submission's checkpoints failed that were under way in a time; 0 while nobody answers."""
        try:
            times = self._flink.checkpoint_times(submission)
        except (Refused, KeyError):
            return 0
        return sum(one.status == "FAILED" and start_ms <= one.began_ms + one.took_ms and one.began_ms <= end_ms for one in times)

    # ------------------------------------------------------------------ operations

    def cancel(self) -> bool:
        """Cancels it and waits; False if it had ended by itself."""
        with self._lock:
            self.take_stock()
            before = self.state()
            if before == "FINISHED":
                return False
            try:
                self._flink.cancel(self.id)
            except Refused as refused:
                self._say(f"Flink does not cancel: {refused}")
            if not wait_until(lambda: self.state() in _OVER, _GONE_S, 0.1):
                raise DemoError(EX_SOFTWARE, f"the job does not end although it was cancelled: {self.state()}")
            return self.state() != "FINISHED"

    def cancel_and_restore(self, older: bool = False) -> str:
        """Stops it hard and goes on from its newest checkpoint; says what was done.

        `older`: from one before that, which nobody should do: what was committed since then is done again.
        """
        with self._lock:
            if not self.cancel():
                return "it had finished already"
            restore = self.oldest() if older else self.latest()
            self.submit(restore)
            return f"goes on from {_name(restore)}"

    def stop_and_restore(self, older: bool = False) -> str:
        """Stops it with a savepoint and goes on from that; says what was done.

        `older`: not from the savepoint but from a checkpoint before it, of which there is a copy.
        """
        with self._lock:
            own, copy = self._folder() / str(self.id), self._folder() / "copy"
            before = self.latest()
            if self.state() != "RUNNING":
                return f"no savepoint: the job is {self.state()}"
            self.take_stock()
            if older:
                shutil.copytree(own, copy)
            try:
                savepoint = self._savepoint()
            except StoppedBadly as badly:
                self._say(str(badly))
                savepoint = badly.savepoint
            except Refused as refused:
                return f"goes on without: {refused}"
            if not wait_until(lambda: self.state() in _OVER, _GONE_S, 0.1):
                raise DemoError(EX_SOFTWARE, f"the savepoint is made, but the job is {self.state()}")
            if older:
                # Flink removes a finished job's checkpoints.
                shutil.copytree(copy, own, dirs_exist_ok=True)
                savepoint = before
            self.submit(savepoint)
            return f"goes on from {_name(savepoint)}"

    def _savepoint(self) -> str:
        """Stops it with a savepoint. One that fails, since tasks are still starting or too busy, is asked for again."""
        deadline = time.monotonic() + _SAVEPOINT_S
        while True:
            try:
                return self._flink.stop_with_savepoint(str(self.id), f"{self.checkpoints()}/savepoints")
            except Refused as refused:
                if "the savepoint failed" not in str(refused) or time.monotonic() > deadline:
                    raise
            time.sleep(0.25)

    def restore_twice(self) -> str:
        """Goes on from a checkpoint, works without completing another one, is stopped, and goes on from the same again."""
        with self._lock:
            if not self.cancel():
                return "it had finished already"
            first = self.latest()
            before = {report.fields["attempt"] for report in self._world.proxy.reports}
            # Were there another one, the output up to it would be committed, and done again from the first one.
            self.submit(first, checkpoints=False)
            done = self._done_since(before)
            if not self.cancel():
                return "it had finished already"
            completed = self._stock[str(self.id)][1]
            second = self.latest()
            self.submit(second)
            if first != second or completed or not done:
                return f"from {_name(first)}, where {done} records were done and {completed} checkpoints completed, and then from {_name(second)}"
            return f"goes on from {_name(first)}, where {done} records were done, and then from the same again"

    def _done_since(self, attempts: set[str]) -> int:
        """Waits until another attempt of the valve tells of records that it kept or has receipts for; how many."""
        def done() -> int:
            others = [report.fields for report in self._world.proxy.reports[-50:] if report.fields["attempt"] not in attempts]
            return max((fields["kept"] + fields["diverted"] for fields in others), default=0)
        wait_until(lambda: done() > 0 or self.state() in _OVER, _WORKS_S, 0.02)
        return done()

    def rescale(self, parallelism: int, by: str) -> str:
        """Goes on at another parallelism; says what was done."""
        with self._lock:
            # An earlier one may have missed, and what was drawn is what there is.
            before, self.parallelism = self.parallelism, another_parallelism(parallelism, self.parallelism)
            done = self.stop_and_restore() if by == "savepoint" else self.cancel_and_restore()
            if not done.startswith("goes on from"):
                self.parallelism = before
            return f"from {before} to {self.parallelism}: {done}"

    def resubmit_after_jobmanager(self, kill: Callable[[], bool]) -> str:
        """Kills the JobManager, waits for its successor, and goes on from the newest checkpoint on disk."""
        with self._lock:
            self.take_stock()
            if self.state() == "FINISHED":
                return "the job had finished already"
            if not kill():
                # Another job beside the one that runs would do everything twice.
                return "there was no JobManager to kill"
            if not wait_until(lambda: self._flink.taskmanagers() > 0, _UP_S, 0.1):
                raise DemoError(EX_SOFTWARE, "no TaskManager comes back to the new JobManager")
            restore = self.latest()
            if restore is None and self.ended_in_the_ledger():
                return "the job had finished already"
            self.submit(restore)
            return f"goes on from {_name(restore)}"

    def recover_after_jobmanager(self, kill: Callable[[], bool]) -> str:
        """Kills the JobManager and waits until its successor has found the job in ZooKeeper and goes on with it."""
        with self._lock:
            self.take_stock()
            if not kill():
                return "there was no JobManager to kill"
            began = time.monotonic()
            # The old one's answers must not be taken for the new one's.
            if not wait_until(lambda: self.state() is None, _UP_S, 0.02) or not wait_until(lambda: self.state() == "RUNNING", _UP_S, 0.1):
                raise DemoError(EX_SOFTWARE, f"no JobManager goes on with the job by itself: {self.state()}")
            return f"goes on from {_name(self._flink.restored_from(str(self.id)))} by itself after {time.monotonic() - began:.1f} s"

    def ended_in_the_ledger(self) -> bool:
        """Whether its last books are committed."""
        folder = self._world.s3_root / BUCKET / PREFIX / self._schedule.name / "ledger"
        return any('"final":true' in path.read_text(encoding="utf-8") for path in folder.glob("[!._]*") if path.is_file())

    def block_checkpoints(self) -> Callable[[], None] | None:
        """Puts files where Flink wants to make the next checkpoints' folders; what takes them away again."""
        place = self._folder() / str(self.id)
        numbers = [int(path.name.removeprefix("chk-")) for path in place.glob("chk-*")]
        if not numbers:
            return None
        stones = [place / f"chk-{number}" for number in range(max(numbers) + 1, max(numbers) + 1 + _STONES)]
        for stone in stones:
            try:
                stone.touch(exist_ok=False)
            except FileExistsError:
                continue

        def clear() -> None:
            for stone in stones:
                if stone.is_file():
                    stone.unlink()
        return clear


def _name(checkpoint: str | None) -> str:
    return checkpoint.rstrip("/").rsplit("/", 1)[1] if checkpoint else "nothing: no checkpoint had completed"
