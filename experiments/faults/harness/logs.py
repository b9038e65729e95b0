"""What each component logged around a fault: by place in the file, for the clock of one of them is stepped."""

from __future__ import annotations

import re
from pathlib import Path

# What is said at these levels is shown first.
_LOUD = re.compile(r"\b(WARN|ERROR|FATAL)\b|panicked")
# Flink's stack traces, and what it says of each attempt's committers.
_QUIET = re.compile(r"^\s+at |^\s*\.\.\. \d+ more|^$|Name collision: Group already contains")
_PANIC = re.compile(r"panicked at|fatal runtime error|OutOfMemoryError|StackOverflowError")


class Logs:
    """The components' logs of one run."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files
        self._start = self.mark()

    def mark(self) -> dict[str, int]:
        """Here and now."""
        return {name: _size(path) for name, path in self._files.items()}

    def between(self, start: dict[str, int], end: dict[str, int], most: int) -> dict[str, list[str]]:
        """At most so many lines of each component, warnings and errors before all else."""
        found = {}
        for name, path in self._files.items():
            lines = [line for line in _read(path, start[name], end[name]) if not _QUIET.search(line)]
            loud = [line for line in lines if _LOUD.search(line)]
            chosen = loud[:most] or lines[:most]
            if chosen:
                left = len(lines) - len(chosen)
                found[name] = [line[:240] for line in chosen] + ([f"… and {left} lines more"] if left else [])
        return found

    def count(self, pattern: re.Pattern[str], start: dict[str, int]) -> int:
        """How many lines since then say something."""
        return sum(bool(pattern.search(line)) for name, path in self._files.items() for line in _read(path, start[name], _size(path)))

    def panics(self) -> list[str]:
        """Lines that no fault excuses."""
        return [f"{name}: {line}" for name, path in self._files.items()
                for line in _read(path, self._start[name], _size(path)) if _PANIC.search(line)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, start: int, end: int) -> list[str]:
    if end <= start:
        return []
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(end - start).decode("utf-8", "replace").splitlines()
