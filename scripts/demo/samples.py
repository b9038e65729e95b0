"""What the sidecar told in the course of a run."""

from __future__ import annotations

from dataclasses import dataclass

_COUNTERS = ("received", "kept", "diverted", "bounced", "late")


@dataclass(frozen=True)
class Sample:
    """Cumulative record counts of all valves at one instant (wall clock), and how things stood."""

    time_ms: int
    received: int
    kept: int
    diverted: int
    bounced: int
    late: int
    mode: str | None
    reason: str | None
    capacity_per_s: float | None


@dataclass
class Episode:
    """A stretch of diverting without a pause of 100 ms, wall clock."""

    first_ms: int
    last_ms: int


class Samples:
    """Adds up the answers of /v1/status, one after the other.

    A valve's counters start anew with each attempt, so each attempt is remembered with its last
    counts. After a restore the source repeats what came after the checkpoint: these counts are for
    watching. What is true in the end, the books say.
    """

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.last_status: dict = {}
        self._counts: dict[tuple, dict[str, int]] = {}
        self._episodes: dict[tuple, Episode] = {}

    def add(self, status: dict, now_ms: int) -> Sample:
        """Takes an answer in; returns the state of things with it."""
        self.last_status = status
        times = []
        for valve in status.get("valves") or []:
            attempt = (valve["valve"], valve["subtask"], valve["attempt"])
            self._counts[attempt] = {name: valve.get(name) or 0 for name in _COUNTERS}
            if valve.get("time_ms"):
                times.append(valve["time_ms"])
            first, last = valve.get("first_diverted_ms"), valve.get("last_diverted_ms")
            if first is not None and last is not None:
                self._episodes[(*attempt, first)] = Episode(first, last)
        totals = {name: sum(counts[name] for counts in self._counts.values()) for name in _COUNTERS}
        sample = Sample(
            # The counts are as old as the report that brought them.
            time_ms=max(times, default=now_ms),
            mode=status.get("mode"), reason=status.get("reason"), capacity_per_s=status.get("capacity_per_s"),
            **totals,
        )
        if not self.samples or sample.time_ms > self.samples[-1].time_ms:
            self.samples.append(sample)
        return sample

    @property
    def episodes(self) -> list[Episode]:
        """All episodes that were seen, in order."""
        return sorted(self._episodes.values(), key=lambda episode: episode.first_ms)

    @property
    def capacity_per_s(self) -> float | None:
        """The last estimate of what the local lane can take."""
        return next((sample.capacity_per_s for sample in reversed(self.samples) if sample.capacity_per_s), None)


def reaction_ms(episodes: list[Episode], spike_start_ms: int) -> int | None:
    """From when the spike's first record was due until the first record was diverted.

    0 if records were being diverted already; None if none was diverted from then on.
    """
    after = [episode for episode in episodes if episode.last_ms >= spike_start_ms]
    return max(0, after[0].first_ms - spike_start_ms) if after else None


def release_ms(episodes: list[Episode], spike_start_ms: int, spike_end_ms: int) -> int | None:
    """From the end of the spike until the last record of the run was diverted; None if none was."""
    after = [episode for episode in episodes if episode.last_ms >= spike_start_ms]
    return max(0, after[-1].last_ms - spike_end_ms) if after else None


def rates(samples: list[Sample], start_ms: int, step_ms: int) -> list[dict]:
    """Records per second received, kept (bounced ones included) and diverted, for each step.

    Counts between two samples are taken to grow evenly. The last step may be cut short.
    """
    if not samples:
        return []
    rows = []
    at, before = start_ms, _counts_at(samples, start_ms)
    while at < samples[-1].time_ms:
        end = min(at + step_ms, samples[-1].time_ms)
        counts = _counts_at(samples, end)
        span = (end - at) / 1_000
        rows.append({"offset_ms": at - start_ms} | {name: (counts[name] - before[name]) / span for name in counts})
        at, before = end, counts
    return rows


def _counts_at(samples: list[Sample], time_ms: int) -> dict[str, float]:
    later = next((index for index, sample in enumerate(samples) if sample.time_ms >= time_ms), len(samples))
    if later == 0:
        share, a, b = 0.0, samples[0], samples[0]
        if samples[0].time_ms > time_ms:
            return {"received": 0.0, "kept": 0.0, "diverted": 0.0}
    elif later == len(samples):
        share, a, b = 0.0, samples[-1], samples[-1]
    else:
        a, b = samples[later - 1], samples[later]
        share = (time_ms - a.time_ms) / (b.time_ms - a.time_ms)
    return {
        "received": a.received + share * (b.received - a.received),
        "kept": a.kept + a.bounced + share * (b.kept + b.bounced - a.kept - a.bounced),
        "diverted": a.diverted + share * (b.diverted - a.diverted),
    }
