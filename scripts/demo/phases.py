"""Baseline, spike, after: which part of a profile is which."""

from __future__ import annotations

import math
from dataclasses import dataclass

import replay_profile


@dataclass(frozen=True)
class Phases:
    """Offsets in milliseconds since the first record is due. Without a spike all is baseline.

    A segment is of the spike if its rate is at least twice the first segment's. The spike goes
    from the first such segment to the end of the last.
    """

    end_ms: int
    spike_start_ms: int | None = None
    spike_end_ms: int | None = None
    spike_rate_per_s: float | None = None

    @classmethod
    def of(cls, profile: replay_profile.Profile) -> "Phases":
        """The phases of a profile."""
        end = math.ceil(profile.duration_ms)
        first = profile.segments[0].rate_per_s
        spike = [segment for segment in profile.segments if segment.rate_per_s >= 2 * first and segment.rate_per_s > 0]
        if not spike or spike[0] is profile.segments[0]:
            return cls(end)
        return cls(end, math.floor(spike[0].start_ms), math.floor(spike[-1].end_ms), float(max(s.rate_per_s for s in spike)))

    def ranges(self) -> list[tuple[str, int, int]]:
        """(name, from, to) of the phases that take time, in order."""
        if self.spike_start_ms is None:
            return [("baseline", 0, self.end_ms)]
        phases = [
            ("baseline", 0, self.spike_start_ms),
            ("spike", self.spike_start_ms, self.spike_end_ms),
            ("after", self.spike_end_ms, self.end_ms),
        ]
        return [phase for phase in phases if phase[1] < phase[2]]
