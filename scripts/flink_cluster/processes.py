"""Processes by identity: a pid alone may belong to somebody else by now, a pid and a start time cannot."""

import ctypes
import os
import signal
import subprocess
import time
from typing import Optional

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def start_time(pid: int) -> Optional[int]:
    """Clock ticks from boot to the process's start; None if there is no such process, or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The command's name may hold spaces and parentheses: the fields start after the last one.
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def identity(pid: int) -> dict:
    """What names a process for good: its pid and start time."""
    return {"pid": pid, "start_time": start_time(pid)}


def is_alive(process: dict) -> bool:
    """Whether this very process still runs."""
    return process["start_time"] is not None and start_time(process["pid"]) == process["start_time"]


def send(process: dict, signal_number: int) -> None:
    """Signals this very process; does nothing if it has ended."""
    if is_alive(process):
        try:
            os.kill(process["pid"], signal_number)
        except ProcessLookupError:
            pass  # It ended since the check.


def wait_until_gone(processes: list, seconds: float) -> list:
    """Waits until all have ended or the time is over; returns those that still run."""
    deadline = time.monotonic() + seconds
    while (left := [p for p in processes if is_alive(p)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def spawn(command: list, *, environment: dict, cpus: Optional[list], output: str) -> subprocess.Popen:
    """Starts a child that ends with this process, however this process ends, pinned to `cpus` if given."""
    parent = os.getpid()

    def prepare() -> None:
        # Runs in the child. The supervisor blocks signals; its children must not.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if cpus:
            os.sched_setaffinity(0, cpus)

    with open(output, "ab") as out:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=prepare
        )
