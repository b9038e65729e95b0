"""The replay profile: how many records are due when.

A profile is a list of segments of constant rate. Everything here is exact: rates, durations
and schedule are integers and fractions, never floating point, because a profile stands for
exactly floor(sum of rate x duration) records and the oracle has to name the window of each.

    50k:10s,400k:20s,50k:15s            RATE:DURATION, RATE in records/s with k or M
    csv:rates.csv,scale=0.1,speedup=60  rows `minute,requests`, minute after minute, one segment each
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Iterator

_RATE = re.compile(r"(\d+(?:\.\d+)?)([kM]?)", re.ASCII)
_DURATION = re.compile(r"(\d+)(ms|s|m)", re.ASCII)
_MINUTE = re.compile(r"\d{1,18}", re.ASCII)
_FACTOR = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SCALE = {"": 1, "k": 1_000, "M": 1_000_000}
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000}
_FORM = "a profile reads RATE:DURATION,... such as 50k:10s,400k:20s or csv:PATH[,scale=S][,speedup=U]"


class ProfileError(ValueError):
    """The profile is malformed; the message says where and what would be right."""


@dataclass(frozen=True)
class Segment:
    """A stretch of constant rate. Offsets are milliseconds since the run's first instant."""

    start_ms: Fraction
    duration_ms: Fraction
    first_record: int
    records: int
    rate_per_s: Fraction

    @property
    def end_ms(self) -> Fraction:
        """Offset of the first instant after the segment."""
        return self.start_ms + self.duration_ms

    @property
    def end_record(self) -> int:
        """Number of the first record after the segment."""
        return self.first_record + self.records

    def offset_ms(self, record: int) -> int:
        """When `record` of this segment is due: records are spread evenly, rounded down."""
        step = record - self.first_record
        return math.floor(self.start_ms + step * self.duration_ms / self.records)

    def first_due_from(self, offset_ms: int) -> int:
        """The first record of this segment that is due at `offset_ms` or later."""
        step = math.ceil((offset_ms - self.start_ms) * self.records / self.duration_ms)
        return self.first_record + min(max(step, 0), self.records)


@dataclass(frozen=True)
class Profile:
    """Segments one after the other, from offset 0."""

    segments: tuple[Segment, ...]

    @property
    def records(self) -> int:
        """How many records the profile stands for."""
        return self.segments[-1].end_record

    @property
    def duration_ms(self) -> Fraction:
        """From the first instant to the end of the last segment."""
        return self.segments[-1].end_ms

    def windows(self, start_ms: int, size_ms: int) -> Iterator[tuple[int, int, int]]:
        """The windows that get records: (window start, first record, first record after it).

        Event times never go back within a run, so a window's records follow one another.
        """
        busy = [segment for segment in self.segments if segment.records]
        window, first = None, 0
        for segment in busy:
            record = segment.first_record
            while record < segment.end_record:
                time = start_ms + segment.offset_ms(record)
                mine = time - time % size_ms
                if mine != window:
                    if window is not None:
                        yield window, first, record
                    window, first = mine, record
                record = segment.first_due_from(mine + size_ms - start_ms)
        if window is not None:
            yield window, first, self.records


def parse(spec: str) -> Profile:
    """Read a profile. Raises ProfileError, or OSError if a CSV of rates cannot be read."""
    rates = _from_csv(spec[len("csv:"):]) if spec.startswith("csv:") else _from_list(spec)
    segments = []
    start, due = Fraction(0), Fraction(0)
    first = 0
    for rate, duration in rates:
        due += rate * duration / 1_000
        end = math.floor(due)
        segments.append(Segment(start, duration, first, end - first, rate))
        start += duration
        first = end
    if first == 0:
        raise ProfileError(f"profile '{spec}' stands for no record at all")
    return Profile(tuple(segments))


def _from_list(spec: str) -> list[tuple[Fraction, Fraction]]:
    rates = []
    for part in spec.split(","):
        rate, colon, duration = part.partition(":")
        if not colon:
            raise ProfileError(f"profile segment '{part}' is not RATE:DURATION; {_FORM}")
        rates.append((_rate(rate, part), _duration(duration, part)))
    return rates


def _rate(text: str, part: str) -> Fraction:
    match = _RATE.fullmatch(text)
    if not match:
        raise ProfileError(f"rate '{text}' in '{part}' is not a number of records/s such as 400k, 1.5M or 33.3")
    rate = Fraction(match[1]) * _SCALE[match[2]]
    if (rate * 1_000).denominator != 1:
        raise ProfileError(f"rate '{text}' in '{part}' is finer than a thousandth of a record/s")
    return rate


def _duration(text: str, part: str) -> Fraction:
    match = _DURATION.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise ProfileError(f"duration '{text}' in '{part}' is not a time above zero such as 500ms, 10s or 2m")
    return Fraction(int(match[1]) * _MILLISECONDS[match[2]])


def _from_csv(spec: str) -> list[tuple[Fraction, Fraction]]:
    path, *options = spec.split(",")
    factors = {"scale": Fraction(1), "speedup": Fraction(1)}
    for option in options:
        name, _, value = option.partition("=")
        if name not in factors or not _FACTOR.fullmatch(value) or not Fraction(value):
            raise ProfileError(f"profile option '{option}' is not scale=S or speedup=U with a number above zero")
        factors[name] = Fraction(value)
    minute = Fraction(60_000) / factors["speedup"]
    rates = []
    last = None
    rows = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, row in enumerate(rows[1:], start=2):
        cells = row.split(",")
        if len(cells) != 2 or not _MINUTE.fullmatch(cells[0].strip()) or not _FACTOR.fullmatch(cells[1].strip()):
            raise ProfileError(f"{path} line {number}: '{row}' is not 'minute,requests'")
        minute_of_row = int(cells[0].strip())
        if last is not None and minute_of_row != last + 1:
            raise ProfileError(f"{path} line {number}: minute {minute_of_row} comes after minute {last}; give every minute, one after the other")
        last = minute_of_row
        records = Fraction(cells[1].strip()) * factors["scale"]
        rates.append((records * 1_000 / minute, minute))
    if not rates:
        raise ProfileError(f"{path} has no row below its header; {_FORM}")
    return rates
