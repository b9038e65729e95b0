"""Starting the parts of a run, and stopping every one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Callable

from . import marks, signals
from .errors import EX_SOFTWARE, EX_UNAVAILABLE, DemoError

_STOP_GRACE_S = 10.0


class Processes:
    """All processes of one run. Use as a context manager: whatever happens, none is left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = uuid.uuid4().hex
        self._running: list[tuple[str, subprocess.Popen]] = []
        self._guard: subprocess.Popen | None = None

    def __enter__(self) -> "Processes":
        # The guard must outlive us, so it gets a session of its own and does not carry the mark.
        self._guard = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("guard.py")), self._mark],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with signals.held():
            for _name, process in reversed(self._running):
                _stop(process)
            left = marks.sweep(self._mark, self._reap)
            if self._guard and self._guard.stdin:
                self._guard.stdin.close()
                self._guard.wait()
        if left:
            raise DemoError(EX_SOFTWARE, f"these processes would not end, not even by SIGKILL: {left}")

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of a part: ours, the run's mark, and `extra`."""
        return os.environ | extra | {marks.VARIABLE: self._mark}

    def start(self, name: str, command: list[str], **extra: str) -> subprocess.Popen:
        """Start a part that runs until it is stopped. Its output goes to NAME.log of the run.

        A session of its own keeps a Ctrl-C at the terminal from it: we stop the parts in order.
        """
        with open(self.log(name), "ab") as log:
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env=self.environment(**extra), start_new_session=True,
                )
            except OSError as error:
                raise DemoError(EX_UNAVAILABLE, f"cannot start {command[0]}: {error.strerror}") from error
        self._running.append((name, process))
        return process

    def run(self, name: str, command: list[str], good: tuple[int, ...] = (0,), **extra: str) -> str:
        """Run a tool to its end and return its standard output. Raises DemoError if it fails.

        The output goes to NAME.out of the run. Over a pipe we would also wait for every daemon that
        the tool leaves behind with the other end.
        """
        out = self._folder / f"{name}.out"
        with open(self.log(name), "ab") as log, open(out, "wb") as told:
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=told, stderr=log,
                    env=self.environment(**extra), start_new_session=True, check=False,
                )
            except OSError as error:
                raise DemoError(EX_UNAVAILABLE, f"cannot start {command[0]}: {error.strerror}") from error
        output = out.read_text(encoding="utf-8", errors="replace")
        if done.returncode not in good:
            raise DemoError(_code(done.returncode), f"{name} failed ({_ended(done.returncode)}): {self.last_words(name, output)}")
        return output

    def ready(self, name: str, process: subprocess.Popen, file: Path, timeout_s: float) -> dict:
        """Wait for the ready file of a part. Raises DemoError if it ends first or takes too long."""
        wait_until(lambda: file.exists() or process.poll() is not None, timeout_s)
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8"))
        if process.poll() is None:
            raise DemoError(EX_UNAVAILABLE, f"{name} was not ready after {timeout_s:.0f} s; see {self.log(name)}")
        raise DemoError(_code(process.returncode), f"{name} did not start ({_ended(process.returncode)}): {self.last_words(name)}")

    def must_live(self) -> None:
        """Raises DemoError if a part has ended that should still run."""
        for name, process in self._running:
            if process.poll() is not None:
                raise DemoError(EX_SOFTWARE, f"{name} ended in mid-run ({_ended(process.returncode)}): {self.last_words(name)}")

    def stop(self, name: str) -> None:
        """Stop one part now."""
        for entry in [entry for entry in self._running if entry[0] == name]:
            self._running.remove(entry)
            _stop(entry[1])

    def log(self, name: str) -> Path:
        """Where a part's output goes."""
        return self._folder / f"{name}.log"

    def last_words(self, name: str, output: str = "") -> str:
        """The last line that a part said, and where the rest is."""
        said = [line.strip() for line in (self.log(name).read_text(encoding="utf-8", errors="replace") or output).splitlines()]
        last = next((line for line in reversed(said) if line), "it said nothing")
        return f"{last} (log: {self.log(name)})"

    def _reap(self) -> None:
        for _, process in self._running:
            process.poll()


def wait_until(condition: Callable[[], bool], timeout_s: float, every_s: float = 0.05) -> bool:
    """Poll until the condition holds or the time is up; says whether it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return condition()
        time.sleep(every_s)
    return True


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _code(returncode: int) -> int:
    """A part's own verdict on bad input is ours as well."""
    return returncode if 64 <= returncode <= 78 else EX_SOFTWARE


def _ended(returncode: int) -> str:
    return f"killed by {signal.Signals(-returncode).name}" if returncode < 0 else f"exit code {returncode}"
