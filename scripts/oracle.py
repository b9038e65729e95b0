#!/usr/bin/env python3
"""The truth about a run, by plain counting.

Says what `wordcount` must give for an input and a profile. It shares no code with the Flink
job or the burst function, uses nothing but the standard library, and holds no cleverness but
one: record i is line i mod L, so the lines of a window are whole rounds through the input and
a rest, and only the rest is counted word by word.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from typing import Iterator

import replay_profile

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_CANTCREAT = 64, 65, 66, 73

# What is left of a record after lower-casing is cut at everything else. re.ASCII does not
# touch an explicit class, but says what is meant: nothing outside ASCII is part of a word.
_WORD = re.compile(r"[A-Za-z0-9_]+", re.ASCII)


class BadInput(Exception):
    """What the user gave cannot be counted. Carries the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def words(record: bytes) -> list[str]:
    """The words of a record, in order.

    Python's str.lower() is independent of the locale, as Java's Locale.ROOT is. The two may
    differ in Unicode version, but only two characters beyond ASCII have a lower case with
    ASCII in it (U+0130 and U+212A), and tests/test_oracle.py tries every character.
    """
    return _WORD.findall(record.decode("utf-8", errors="replace").lower())


def split_lines(data: bytes) -> list[bytes]:
    """Lines end at LF only: a CR belongs to its line, and a last line without LF counts."""
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return lines


class Input:
    """The lines of the input, and how often each word occurs in a stretch of the replay."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._words: dict[bytes, list[str]] = {}
        self._round: Counter[str] | None = None

    def count(self, first: int, end: int) -> Counter[str]:
        """Words of the records first (included) to end (excluded)."""
        length = len(self._lines)
        rounds, rest = divmod(end - first, length)
        counts: Counter[str] = Counter()
        start = first % length
        self._add(counts, start, min(start + rest, length))
        self._add(counts, 0, start + rest - length)
        if rounds:
            if self._round is None:
                self._round = Counter()
                self._add(self._round, 0, length)
            for word, count in self._round.items():
                counts[word] += rounds * count
        return counts

    def _add(self, counts: Counter[str], start: int, end: int) -> None:
        cache = self._words
        for line in self._lines[start:max(start, end)]:
            found = cache.get(line)
            if found is None:
                found = cache[line] = words(line)
            counts.update(found)


def rows(
    lines: list[bytes], profile: replay_profile.Profile, start_ms: int, window_ms: int
) -> Iterator[tuple[int, int, list[tuple[str, int]]]]:
    """Per window in order: its start, its records, its (word, count) in the order of bytes."""
    source = Input(lines)
    for window, first, end in profile.windows(start_ms, window_ms):
        # Words are ASCII here, so the order of characters is the order of bytes.
        yield window, end - first, sorted(source.count(first, end).items())


def read_input(path: str) -> list[bytes]:
    """The lines of a file. Raises BadInput if there is none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise BadInput(EX_NOINPUT, f"cannot read the input {path}: {error.strerror}; give --input a readable text file") from error
    if not data:
        raise BadInput(EX_DATAERR, f"the input {path} is empty; give --input a file with at least one line")
    return split_lines(data)


def read_profile(spec: str) -> replay_profile.Profile:
    """The profile of a run. Raises BadInput if it is malformed or its CSV cannot be read."""
    try:
        return replay_profile.parse(spec)
    except replay_profile.ProfileError as error:
        raise BadInput(EX_USAGE, str(error)) from error
    except UnicodeDecodeError as error:
        raise BadInput(EX_DATAERR, f"the rates of {spec} are not UTF-8 text") from error
    except OSError as error:
        raise BadInput(EX_NOINPUT, f"cannot read the rates of {spec}: {error.strerror}") from error


def write(arguments: argparse.Namespace) -> dict:
    """Count, write the canonical CSV, and return the summary."""
    profile = read_profile(arguments.profile)
    lines = read_input(arguments.input)
    windows, total = [], 0
    try:
        # Under another name until it is whole: half a truth is none.
        with open(arguments.out + ".part", "w", encoding="ascii", newline="\n") as file:
            file.write("window_start_ms,key,count\n")
            for window, records, counts in rows(lines, profile, arguments.start, arguments.window_ms):
                file.writelines(f"{window},{word},{count}\n" for word, count in counts)
                windows.append({"start_ms": window, "records": records, "rows": len(counts)})
                total += len(counts)
        os.replace(arguments.out + ".part", arguments.out)
    except OSError as error:
        raise BadInput(EX_CANTCREAT, f"cannot write {arguments.out}: {error.strerror}") from error
    return {"records": profile.records, "lines": len(lines), "rows": total, "windows": windows}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise BadInput(EX_USAGE, f"{message}; see --help")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="oracle.py", description="What wordcount must give, by plain counting.")
    parser.add_argument("--input", required=True, metavar="FILE", help="text; lines end at LF only")
    parser.add_argument("--profile", required=True, metavar="SPEC", help="such as 50k:10s,400k:20s, or csv:PATH[,scale=S][,speedup=U]")
    parser.add_argument("--start", required=True, type=int, metavar="EPOCH_MS", help="event time of record 0")
    parser.add_argument("--window-ms", type=_positive, default=1000, metavar="MS", help="size of the tumbling windows (default 1000)")
    parser.add_argument("--out", required=True, metavar="FILE", help="the canonical CSV")
    parser.add_argument("--summary", metavar="FILE", help="JSON: records, rows, records and rows per window")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run the command line; the exit code is sysexits' 64-78 for bad input."""
    try:
        arguments = _arguments(argv)
        summary = write(arguments)
        if arguments.summary:
            try:
                with open(arguments.summary, "w", encoding="utf-8") as file:
                    json.dump(summary, file, indent=1)
            except OSError as error:
                raise BadInput(EX_CANTCREAT, f"cannot write {arguments.summary}: {error.strerror}") from error
    except BadInput as error:
        print(f"oracle: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
