"""What the valves' reports say of a time."""

from __future__ import annotations

from typing import Callable, Iterable

from .proxy import Report


def at(reports: Iterable[Report], moment: float) -> dict[str, int]:
    """The counters of all attempts together, as last reported before a moment."""
    last: dict[tuple[str, int], Report] = {}
    for report in reports:
        if report.at <= moment:
            last[(report.fields["attempt"], report.subtask)] = report
    names = ("received", "kept", "diverted", "bounced", "unsettled", "in_flight_batches")
    return {name: sum(report.fields[name] for report in last.values()) for name in names}


def between(reports: list[Report], start: float, end: float) -> dict[str, int]:
    """By how much the counters grew."""
    before, after = at(reports, start), at(reports, end)
    return {name: after[name] - before[name] for name in after}


def first(reports: list[Report], after: float, holds: Callable[[Report], bool]) -> float | None:
    """How long after a moment the first report came for which something holds."""
    return next((report.at - after for report in reports if report.at > after and holds(report)), None)
