"""What the user sees while the demo works."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class Console:
    """Steps, one a line, and below them one line that changes.

    Where the output is not a terminal, the changing line is printed anew every few seconds.
    """

    def __init__(self, stream: TextIO = sys.stdout, plain_every_s: float = 5.0) -> None:
        self._stream = stream
        self._plain_every_s = plain_every_s
        self._terminal = stream.isatty()
        self._live = False
        self._printed = 0.0

    def step(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        print(text, file=self._stream, flush=True)

    def live(self, text: str) -> None:
        """The line that changes."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", file=self._stream, flush=True)
            self._live = True
        elif time.monotonic() - self._printed >= self._plain_every_s:
            self._printed = time.monotonic()
            print(text, file=self._stream, flush=True)

    def clear(self) -> None:
        """Takes the changing line away."""
        if self._live:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._live = False
