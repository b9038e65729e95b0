"""What is run and what is broken when: all of it drawn from the seed, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .dice import Dice
from .kinds import FAMILIES, KINDS, Kind

# Another number whenever the same seed comes to mean another schedule: results of old seeds stay what they were.
VERSION = 1

MIXED = "mixed"
# The job needs a moment to settle, and what a fault does must be over before the input ends, or it would do nothing.
_FIRST_MS, _BEFORE_END_MS = 2_500, 2_500
_LEAST_FAULTS, _MOST_FAULTS = 8, 10
_MOST_RESTARTS = 3


@dataclass(frozen=True)
class Setup:
    """The job and the sidecar of a run."""

    profile: str = "15k:3s,120k:9s,15k:4s"
    parallelism: int = 1
    mode: str = "burst"
    checkpoint_ms: int = 700
    checkpoints_in_s3: bool = False
    tolerable_failed_checkpoints: int = 0
    batch_records: int = 4_000
    batch_linger_ms: int = 60
    batch_deadline_ms: int = 3_000
    lane_apart: bool = False


@dataclass(frozen=True)
class Fault:
    """One fault: `kind` begins `at_ms` after the first record is due and lasts `lasts_ms`."""

    at_ms: int
    kind: str
    lasts_ms: int = 0
    params: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """For people."""
        params = " ".join(f"{key}={value}" for key, value in self.params.items() if value != "")
        lasts = f" for {self.lasts_ms / 1_000:.1f} s" if self.lasts_ms else ""
        return f"{self.at_ms / 1_000:5.1f} s  {self.kind}{lasts}{'  ' + params if params else ''}"


@dataclass(frozen=True)
class Schedule:
    """A whole run."""

    seed: int
    of: str
    setup: Setup
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        """Unique among all runs; the job's name, too."""
        return f"{self.of}-{self.seed}"

    def to_json(self) -> str:
        """Everything needed to run it again."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)


def mixed(seed: int) -> Schedule:
    """Faults of all families, one over the other."""
    dice = Dice(seed)
    setup = _setup(dice)
    faults, restarts = [], 0
    while len(faults) < dice_count(seed):
        # First a family, then a kind: else the family with the most kinds would have nearly all.
        family = dice.one_of(FAMILIES)
        kind = dice.one_of([kind for kind in KINDS.values() if kind.family == family])
        if kind.restarts and restarts == _MOST_RESTARTS:
            continue
        restarts += kind.restarts
        faults.append(_fault(dice, kind, _duration_ms(setup)))
    return Schedule(seed, MIXED, setup, _in_order(faults))


def dice_count(seed: int) -> int:
    """How many faults a seed's run has."""
    return Dice(~seed).between(_LEAST_FAULTS, _MOST_FAULTS)


def of_family(family: str, seed: int) -> Schedule:
    """Faults of one family: each kind once, as far as the run can bear it."""
    dice = Dice(seed * len(FAMILIES) + FAMILIES.index(family))
    setup = _setup(dice)
    # A shorter run than a mixed one: all families together must not take long.
    setup = replace(setup, profile=setup.profile.replace("15k:3s", "15k:2s").replace(":9s", ":7s").replace("15k:4s", "15k:3s"))
    kinds = [kind for kind in KINDS.values() if kind.family == family]
    faults, restarts = [], 0
    for kind in dice.shuffled(kinds):
        if kind.restarts and restarts == _MOST_RESTARTS:
            continue
        restarts += kind.restarts
        faults.append(_fault(dice, kind, _duration_ms(setup)))
    return Schedule(seed, family, setup, _in_order(faults))


def _setup(dice: Dice) -> Setup:
    spike = dice.one_of(("60k", "120k", "180k"))
    return Setup(
        profile=f"15k:3s,{spike}:9s,15k:4s",
        parallelism=dice.between(1, 3),
        mode=dice.one_of(("burst", "burst", "auto")),
        checkpoint_ms=dice.one_of((300, 700, 1_500)),
        checkpoints_in_s3=dice.one_of((True, False)),
        tolerable_failed_checkpoints=dice.one_of((0, 0, 5)),
        batch_records=dice.one_of((1_000, 4_000, 20_000)),
        batch_linger_ms=dice.one_of((20, 60, 200)),
        batch_deadline_ms=dice.one_of((1_000, 3_000, 5_000)),
    )


def _fault(dice: Dice, kind: Kind, duration_ms: int) -> Fault:
    at = dice.between(_FIRST_MS, duration_ms - _BEFORE_END_MS)
    lasts = dice.between(kind.shortest_ms, kind.longest_ms)
    return Fault(at, kind.name, lasts, kind.draw(dice))


def _in_order(faults: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: fault.at_ms))


def _duration_ms(setup: Setup) -> int:
    return sum(int(part.split(":")[1].removesuffix("s")) for part in setup.profile.split(",")) * 1_000
