"""Which processes are ours, and how to be sure that none is left.

Every process of a run inherits the variable SPILLWAY_RUN with the run's own value, whatever it
does to its session, its group or its parent. So ours are exactly those that carry the mark,
daemons that a script left behind included, and no other process is ever touched.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Callable

VARIABLE = "SPILLWAY_RUN"
_TERM_GRACE_S = 5.0
_KILL_GRACE_S = 10.0


def marked(mark: str) -> list[int]:
    """The ids of the live processes that carry the mark, this one excepted."""
    needle = f"{VARIABLE}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _carries(int(name), needle):
            found.append(int(name))
    return found


def _carries(pid: int, needle: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            # A zombie's environment reads empty: it is dead, only not yet reaped.
            return needle in file.read().split(b"\0")
    except OSError:
        return False


def signal_marked(mark: str, number: signal.Signals) -> None:
    """Signal every marked process. A pidfd makes sure that it is still the one that was looked at."""
    needle = f"{VARIABLE}={mark}".encode()
    for pid in marked(mark):
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if _carries(pid, needle):
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)


def sweep(mark: str, reap: Callable[[], None] = lambda: None) -> list[int]:
    """End every marked process: SIGTERM, then SIGKILL. Returns the ids that would not die.

    Signals are repeated because a supervisor may start a process while the others are ending.
    `reap` collects the caller's dead children.
    """
    for number, grace in ((signal.SIGTERM, _TERM_GRACE_S), (signal.SIGKILL, _KILL_GRACE_S)):
        deadline = time.monotonic() + grace
        while marked(mark):
            if time.monotonic() > deadline:
                break
            signal_marked(mark, number)
            time.sleep(0.05)
            reap()
    return marked(mark)
