"""Why the demo cannot go on, in one line for the user and one exit code (sysexits)."""

from __future__ import annotations

import signal

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_SOFTWARE = 64, 65, 66, 69, 70
EX_CANTCREAT, EX_IOERR, EX_CONFIG = 73, 74, 78


class DemoError(Exception):
    """Something the user must know; `code` becomes the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Interrupted(BaseException):
    """A signal asked to stop. Not an Exception, so that no handler swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.name = signal.Signals(signal_number).name
        self.code = 128 + signal_number
