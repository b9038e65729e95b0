"""What can be broken: every kind of fault, and how its particulars are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from .dice import Dice

Params = dict[str, Any]

# How Lambda fails is drawn apart from how often: every call, or each second or third.
_EVERY = (1, 1, 2, 3)
# What S3 keeps for us, by a part of its keys. Flink's checkpoints are there in half of the runs.
CHECKPOINTS = "checkpoints/"
_KEYS = ("partials/", "partials/", "ledger/", "local/", CHECKPOINTS, "")
# The function alone writes with a condition.
_CONDITIONAL = ("partials/", "")


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    `shortest_ms`, `longest_ms`: how long it lasts; both 0 if it is over at once.
    `patience_s`: how long one whose time is over waits for something to hit.
    `restarts`: whether it makes Flink start the job anew, which takes seconds: a run can bear few of them.
    """

    name: str
    family: str
    shortest_ms: int
    longest_ms: int
    draw: Callable[[Dice], Params]
    restarts: bool = False
    patience_s: float = 6.0


def _nothing(_dice: Dice) -> Params:
    return {}


def _process(name: str, **more: Any) -> list[Kind]:
    """kill -9, with the process back after a while, and SIGSTOP with SIGCONT after a while."""
    return [
        Kind(f"kill_{name}", "process", 100, 2_500, _nothing, **more),
        Kind(f"stop_{name}", "process", 200, 3_500, _nothing, **more),
    ]


def _rule(name: str, family: str, kind: str, draw: Callable[[Dice], Params] = _nothing) -> Kind:
    """A rule of local-cloud that is in force for a while."""
    return Kind(name, family, 400, 2_500, lambda dice: {"kind": kind, "every": dice.one_of(_EVERY), **draw(dice)})


def _lambda(kind: str, draw: Callable[[Dice], Params] = _nothing) -> Kind:
    return _rule(f"function_{kind}", "function", kind, draw)


def _s3(kind: str, draw: Callable[[Dice], Params] = _nothing, keys: tuple[str, ...] = _KEYS) -> Kind:
    return _rule(f"s3_{kind}", "s3", kind, lambda dice: {"key_contains": dice.one_of(keys), **draw(dice)})


def _wire(name: str, draw: Callable[[Dice], Params] = _nothing) -> Kind:
    return Kind(f"wire_{name}", "wire", 300, 2_500, lambda dice: {"on": dice.one_of(("batches", "reports", "both")), **draw(dice)})


KINDS: dict[str, Kind] = {kind.name: kind for kind in [
    Kind("kill_taskmanager", "process", 0, 0, lambda dice: {"which": dice.between(0, 1)}, restarts=True),
    # Beyond 5 s the JobManager takes it for dead, gives its tasks to the other, and the frozen ones wake up as ghosts.
    Kind("stop_taskmanager", "process", 500, 7_500, lambda dice: {"which": dice.between(0, 1)}, restarts=True),
    *_process("sidecar"),
    Kind("kill_function", "process", 0, 0, _nothing),
    Kind("kill_all_functions", "process", 0, 0, _nothing),
    Kind("stop_function", "process", 200, 3_500, _nothing),
    Kind("stop_all_functions", "process", 200, 3_500, _nothing),
    *_process("lambda"),
    *_process("s3"),

    Kind("kill_jobmanager", "jobmanager", 0, 0, _nothing, restarts=True),
    Kind("stop_jobmanager", "jobmanager", 500, 7_000, _nothing, restarts=True),

    _lambda("crash_before_invoke"),
    _lambda("crash_before_response"),
    _lambda("crash_after_response"),
    _lambda("timeout"),
    _lambda("throttle"),
    _lambda("service_error"),
    _lambda("down"),
    _lambda("error_unhandled"),
    _lambda("wrong_answer"),
    _lambda("truncated_answer"),
    # A batch usually takes some 30 ms.
    _lambda("slow", lambda dice: {"delay_ms": dice.between(300, 900)}),

    _s3("500"),
    _s3("503_slow_down"),
    _s3("slow", lambda dice: {"delay_ms": dice.between(300, 3_000)}),
    _s3("reset_mid_body"),
    _s3("put_succeeds_answers_500"),
    _s3("409_conditional_request_conflict", keys=_CONDITIONAL),
    _s3("412_precondition_failed", keys=_CONDITIONAL),

    # One port takes both.
    Kind("wire_refused", "wire", 300, 2_500, _nothing),
    _wire("reset", lambda dice: {"at": dice.one_of(("request", "answer", "half_answer"))}),
    _wire("black_hole"),
    # Beyond the deadline.
    _wire("late", lambda dice: {"delay_ms": dice.between(50, 1_500)}),
    _wire("twice"),

    # A write to S3 that is refused is tried again and again, until the checkpoint is given up after 8 s.
    Kind("failing_checkpoints", "flink", 1_200, 3_000, _nothing, patience_s=10.0),
    Kind("savepoint_and_restore", "flink", 0, 0, _nothing, restarts=True),
    Kind("rescale", "flink", 0, 0, lambda dice: {"to": dice.between(1, 3), "by": dice.one_of(("savepoint", "cancel"))}, restarts=True),
    Kind("cancel_and_restore", "flink", 0, 0, _nothing, restarts=True),
    Kind("restore_twice", "flink", 0, 0, _nothing, restarts=True),

    Kind("clock", "clock", 1_000, 6_000, lambda dice: {"step_s": dice.one_of((3_600, -3_600))}),
]}

# Kinds that only scenarios have: they ask for a run that is made for them.
WRITTEN: dict[str, Kind] = {kind.name: kind for kind in [
    Kind("replace_sidecar", "process", 0, 0, _nothing),
    Kind("gc", "collect", 0, 0, _nothing),
]}

FAMILIES = tuple(dict.fromkeys(kind.family for kind in KINDS.values()))
