"""What is run and what is broken when: all of it drawn from the seed, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .dice import Dice
from .kinds import CHECKPOINTS, FAMILIES, KINDS, Kind

# Another number whenever the same seed comes to mean another schedule: results of old seeds stay what they were.
VERSION = 2

MIXED = "mixed"
# The job needs a moment to settle, and what a fault does must be over before the input ends, or it would do nothing.
_FIRST_MS, _BEFORE_END_MS = 2_500, 3_500
# Some miss, and at least six shall strike.
_LEAST_FAULTS, _MOST_FAULTS = 10, 13
_MOST_RESTARTS = 3
MOST_SUBTASKS = 3
# How long the spike is in a run that has all kinds of a family.
_SPIKE_S = {"process": 20, "jobmanager": 11, "function": 15, "s3": 11, "wire": 13, "flink": 18, "clock": 6}
# Families that hit nothing unless batches are sent.
_NEED_DIVERTING = ("process", "function", "s3", "wire")
_MOST_OF_A_RULE = 4
_SPIKE_WITH_RESTARTS = "120k"


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

    @property
    def spike(self) -> str:
        """The highest rate, as the profile says it."""
        return max((part.split(":")[0] for part in self.profile.split(",")), key=lambda rate: int(rate.removesuffix("k")))

    @property
    def duration_ms(self) -> int:
        """How long the input lasts."""
        return sum(int(part.split(":")[1].removesuffix("s")) for part in self.profile.split(",")) * 1_000


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
    # Whether each fault waits until the one before is over; else one comes over the other.
    in_turn: bool = False

    @property
    def kinds_must_strike(self) -> bool:
        """A run of mixed faults says how many struck; any other one shows nothing of a kind that missed."""
        return self.of != MIXED

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
        faults.append(_fault(dice, kind, setup, dice.between(_FIRST_MS, setup.duration_ms - _BEFORE_END_MS)))
    return Schedule(seed, MIXED, setup, _rescaling(setup, sorted(faults, key=lambda fault: fault.at_ms)))


def dice_count(seed: int) -> int:
    """How many faults a seed's run has."""
    return Dice(~seed).between(_LEAST_FAULTS, _MOST_FAULTS)


def of_family(family: str, seed: int) -> Schedule:
    """Every kind of one family, once and in turn."""
    dice = Dice(seed * len(FAMILIES) + FAMILIES.index(family))
    kinds = dice.shuffled([kind for kind in KINDS.values() if kind.family == family])
    return _in_turn(dice, seed, family, kinds, _SPIKE_S[family])


def of_kind(name: str, seed: int) -> Schedule:
    """One kind alone, some times in turn."""
    kind = KINDS[name]
    dice = Dice(seed * len(KINDS) + list(KINDS).index(name))
    times = 2 if kind.restarts else 3
    return _in_turn(dice, seed, alone(name), [kind] * times, times * (4 if kind.restarts else 2))


def alone(kind: str) -> str:
    """What a run of one kind is called."""
    return f"only-{kind.replace('_', '-')}"


def _in_turn(dice: Dice, seed: int, of: str, kinds: list[Kind], spike_s: int) -> Schedule:
    setup = _setup(dice)
    family = kinds[0].family
    # Shorter before and after the spike than a mixed run: all of them together must not take long. What several restarts have
    # held up comes on top of what there is, so the spike is not the highest one.
    spike = _SPIKE_WITH_RESTARTS if any(kind.restarts for kind in kinds) else setup.spike
    setup = replace(setup, profile=f"15k:2s,{spike}:{spike_s}s,15k:3s", mode="burst" if family in _NEED_DIVERTING else setup.mode)
    slot_ms = (setup.duration_ms - _FIRST_MS - _BEFORE_END_MS) // len(kinds)
    faults = []
    for number, kind in enumerate(kinds):
        fault = _fault(dice, kind, setup, _FIRST_MS + number * slot_ms)
        params = dict(fault.params)
        if family in ("function", "s3"):
            # Few enough that the breaker stays closed as a rule: where nothing is sent the next kind would hit nothing.
            params["count"] = dice.between(1, _MOST_OF_A_RULE)
        if params.get("key_contains") == "local/":
            # Where everything is diverted the local lane writes nothing.
            params["key_contains"] = ""
        faults.append(replace(fault, lasts_ms=min(fault.lasts_ms, slot_ms * 3 // 4), params=params))
    return Schedule(seed, of, setup, _rescaling(setup, faults), in_turn=True)


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


def _fault(dice: Dice, kind: Kind, setup: Setup, at_ms: int) -> Fault:
    lasts_ms = dice.between(kind.shortest_ms, kind.longest_ms)
    params = kind.draw(dice)
    if params.get("key_contains") == CHECKPOINTS and not setup.checkpoints_in_s3:
        params["key_contains"] = "ledger/"
    return Fault(at_ms, kind.name, lasts_ms, params)


def _rescaling(setup: Setup, faults: list[Fault]) -> tuple[Fault, ...]:
    """From n to n is no rescaling."""
    parallelism, result = setup.parallelism, []
    for fault in faults:
        if fault.kind == "rescale":
            parallelism = another_parallelism(fault.params["to"], parallelism)
            fault = replace(fault, params=fault.params | {"to": parallelism})
        result.append(fault)
    return tuple(result)


def another_parallelism(wanted: int, now: int) -> int:
    """What was drawn, or the next one if that is what there is."""
    return wanted if wanted != now else now % MOST_SUBTASKS + 1
