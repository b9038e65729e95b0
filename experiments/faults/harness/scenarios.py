"""Runs that are written down rather than drawn: the stop tests, the recovery times, rescaling, a replay that must be noticed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Callable

from .conductor import Check, Timeline
from .inject import Struck
from .proxy import Report
from .reading import at, between, first
from .schedule import Fault, Schedule, Setup
from .world import World

# What issue 4 of the project demands.
_ALL_TO_THE_CLOUD_S = 1.0
_SIDECAR_BACK_S, _CLOUD_BACK_S = 1.0, 5.0
# Nobody demands a time: it is ZooKeeper's 3 s, a JVM's start and a restore.
_JOBMANAGER_BACK_S = 20.0
# Five attempts in a row that reach nobody open the breaker (docs/cloud-lane.md), 50 ms to 0.8 s apart for each of several
# batches; then a report has to ask. From here on all that is not kept is a trial's batch.
_SHUT_S = 1.0
# Rests between trials are 0.5 s, 1 s, and then 2 s.
_TRIAL_EACH_S = 1.0
# Two of a valve's reports.
_REPORTED_S = 0.5
_NEARLY_ALL = 0.9
_NEARLY_NONE = 0.01

_STEADY = Setup(profile="60k:13s", checkpoint_ms=700, batch_deadline_ms=2_000)
# What a local lane takes that nothing has warmed up, as in mode burst.
_SPIKE = replace(_STEADY, profile="15k:3s,120k:8s,15k:2s")
# A checkpoint that was completed so long after a partial was written began after the batch's deadline, so it has the receipt.
_GRACE_S = 4


@dataclass(frozen=True)
class Scenario:
    """A schedule, and what more than the result it must show."""

    schedule: Callable[[int], Schedule]
    check: Check | None = None
    expect_replay: bool = False
    # Whether it needs a cluster of its own, with a ZooKeeper: such a one is not among "all".
    zookeeper: bool = False


def _of(name: str, setup: Setup, *faults: Fault) -> Callable[[int], Schedule]:
    return lambda seed: Schedule(seed, name, setup, faults)


def _wall_ms(timeline: Timeline, moment: float) -> int:
    return timeline.due_wall_ms + round((moment - timeline.due) * 1_000)


def _within(what: str, measured_s: float | None, limit_s: float) -> list[str]:
    if measured_s is None:
        return [f"{what}: never"]
    return [] if measured_s <= limit_s else [f"{what}: after {measured_s:.2f} s, it must be within {limit_s:g} s"]


# ------------------------------------------------------------------ what each must show


def _cloud_stopped(world: World, schedule: Schedule, timeline: Timeline, _struck: list[Struck]) -> tuple[dict, list[str]]:
    down, up = timeline.faults[0]
    reports, batch = world.proxy.reports, schedule.setup.batch_records * schedule.setup.parallelism
    before, told, then = at(reports, down), at(reports, down + _REPORTED_S), at(reports, up)
    grown = between(reports, down + _SHUT_S, up)
    # What a trial takes is neither kept nor settled; it bounces.
    tried = grown["received"] - grown["kept"]
    trials = 1 + math.ceil((up - down) / _TRIAL_EACH_S)
    # What had been diverted and not settled before the last word of its settling.
    stranded = max(0, before["unsettled"] - (told["diverted"] - before["diverted"]))
    # What came back waits for the local lane's turn, perhaps beyond Lambda's return.
    returned = at(reports, math.inf)["bounced"] - before["bounced"]
    back = first(reports, up, lambda report: report.fields["diverted"] > then["diverted"])
    wrong = _within("diverting after the cloud was back", back, _CLOUD_BACK_S)
    if not before["unsettled"]:
        wrong.append("nothing was in a batch when the cloud was stopped")
    if then["diverted"] != told["diverted"]:
        wrong.append(f"without the cloud {then['diverted'] - told['diverted']} records were settled in it")
    if tried > trials * batch:
        wrong.append(f"{_SHUT_S:g} s after the cloud was stopped {tried} of {grown['received']} records still went into batches, more than {trials} trials' worth")
    if returned < stranded:
        wrong.append(f"{stranded} records were in batches when the cloud was stopped, {returned} came back")
    if then["in_flight_batches"] > schedule.setup.parallelism:
        wrong.append(f"{then['in_flight_batches']} batches were still out when the cloud came back, more than a trial")
    return {"kept_while_down": round(grown["kept"] / max(1, grown["received"]), 4), "in_batches_when_stopped": before["unsettled"],
            "came_back": returned, "diverting_again_s": _rounded(back)}, wrong


def _sidecar_killed(world: World, _schedule: Schedule, timeline: Timeline, _struck: list[Struck]) -> tuple[dict, list[str]]:
    back = _diverting_from(world.proxy.reports, _wall_ms(timeline, timeline.faults[0][1]))
    return {"diverting_again_s": _rounded(back)}, _within("diverting after the sidecar was up again", back, _SIDECAR_BACK_S)


def _diverting_from(reports: list[Report], up_ms: int) -> float | None:
    """How long after a moment of the wall clock a record was put into a batch."""
    found = next((report.fields for report in reports if (report.fields.get("last_diverted_ms") or 0) > up_ms), None)
    if not found:
        return None
    # A new episode says itself when it began; else the last record of the report is the best bound there is.
    began = found["first_diverted_ms"]
    return (began if began > up_ms else found["last_diverted_ms"]) / 1_000 - up_ms / 1_000


def _sidecar_replaced(world: World, _schedule: Schedule, timeline: Timeline, struck: list[Struck]) -> tuple[dict, list[str]]:
    replaced = [(one, up) for one, (_, up) in zip(struck, timeline.faults) if one.fault.kind == "replace_sidecar"]
    back = [_diverting_from(world.proxy.reports, _wall_ms(timeline, up)) for _, up in replaced]
    bounced = at(world.proxy.reports, math.inf)["bounced"]
    wrong = [f"it was not stopped as it should be, in mid-work: {one.said}" for one, _ in replaced if not one.times]
    for seconds in back:
        wrong += _within("diverting after the sidecar was replaced", seconds, _SIDECAR_BACK_S)
    if bounced:
        wrong.append(f"{bounced} records bounced for want of a sidecar")
    return {"diverting_again_s": [_rounded(seconds) for seconds in back]}, wrong


def _lane_frozen(world: World, _schedule: Schedule, timeline: Timeline, struck: list[Struck]) -> tuple[dict, list[str]]:
    frozen, thawed = timeline.faults[0]
    reports = world.proxy.reports
    grown = between(reports, frozen + _ALL_TO_THE_CLOUD_S, thawed)
    kept = grown["kept"] / max(1, grown["received"])
    cloud = (grown["diverted"] + grown["unsettled"]) / max(1, grown["received"])
    before = between(reports, frozen - 2, frozen)
    arrival = grown["received"] / max(0.1, thawed - frozen - _ALL_TO_THE_CLOUD_S) / max(1.0, before["received"] / 2)
    kept_then = at(reports, thawed)["kept"]
    again = first(reports, thawed, lambda report: report.fields["kept"] > kept_then)
    wrong = _within("keeping records after the lane went on", again, 2.0)
    if kept > _NEARLY_NONE or cloud < _NEARLY_ALL:
        wrong.append(f"{_ALL_TO_THE_CLOUD_S:g} s after the lane was frozen {kept:.1%} were kept and {cloud:.0%} diverted")
    if arrival < _NEARLY_ALL:
        wrong.append(f"the frozen lane slowed the source down to {arrival:.0%}")
    if struck[0].times != 1:
        wrong.append("the lane had no TaskManager of its own")
    return {"kept_while_frozen": round(kept, 4), "diverted_while_frozen": round(cloud, 3), "arrival_while_frozen": round(arrival, 2),
            "keeping_again_s": _rounded(again)}, wrong


def _rescaled(world: World, schedule: Schedule, _timeline: Timeline, struck: list[Struck]) -> tuple[dict, list[str]]:
    seen = [report.fields["parallelism"] for report in world.proxy.reports]
    seen = [value for index, value in enumerate(seen) if index == 0 or seen[index - 1] != value]
    wanted = [schedule.setup.parallelism, *(fault.params["to"] for fault in schedule.faults)]
    last_of: dict[str, Report] = {report.fields["attempt"]: report for report in world.proxy.reports}
    in_flight = sum(report.fields["unsettled"] for report in last_of.values())
    wrong = [] if seen == wanted else [f"the valve had the parallelisms {seen}, not {wanted}"]
    wrong += [f"{one.fault.kind}: {one.said}" for one in struck if not one.times]
    if not in_flight:
        wrong.append("no batch was in flight when the valve was rescaled")
    return {"parallelisms": seen, "records_unsettled_when_rescaled": in_flight}, wrong


def _recovered(world: World, _schedule: Schedule, timeline: Timeline, struck: list[Struck]) -> tuple[dict, list[str]]:
    killed, reports = timeline.faults[0][0], world.proxy.reports
    before = {report.fields["attempt"] for report in reports if report.at <= killed}
    again = first(reports, killed, lambda report: report.fields["attempt"] not in before and report.fields["diverted"] > 0)
    wrong = [f"Flink did not go on with the job from a checkpoint by itself: {one.said}" for one in struck if "from chk-" not in one.said]
    return {"diverting_again_s": _rounded(again)}, wrong + _within("diverting after the JobManager was killed", again, _JOBMANAGER_BACK_S)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


# So that there are batches in flight when it is asked to go.
_SLOW = Fault(4_000, "function_slow", 10_000, {"kind": "slow", "every": 1, "delay_ms": 150})
_REPLAYS = (Fault(8_000, "cancel_and_restore", params={"older": True}), Fault(8_000, "savepoint_and_restore", params={"older": True}))

SCENARIOS: dict[str, Scenario] = {
    "cloud-stopped": Scenario(_of("cloud-stopped", _SPIKE, Fault(5_000, "kill_lambda", 4_000)), _cloud_stopped),
    "sidecar-killed": Scenario(_of("sidecar-killed", _STEADY, Fault(4_000, "kill_sidecar", 3_500)), _sidecar_killed),
    "sidecar-replaced": Scenario(_of("sidecar-replaced", replace(_STEADY, profile="60k:18s", batch_deadline_ms=5_000), _SLOW,
                                     Fault(6_000, "replace_sidecar", params={"overlap": False}),
                                     Fault(11_000, "replace_sidecar", params={"overlap": True})), _sidecar_replaced),
    # Shorter than the 5 s after which the JobManager gives the lane to another TaskManager.
    "lane-frozen": Scenario(_of("lane-frozen", replace(_SPIKE, mode="auto", lane_apart=True),
                                Fault(6_000, "stop_taskmanager", 3_500, {"which": "lane"})), _lane_frozen),
    "rescale": Scenario(_of("rescale", replace(_STEADY, batch_linger_ms=200),
                            Fault(4_000, "rescale", params={"to": 3, "by": "cancel"}),
                            Fault(9_000, "rescale", params={"to": 2, "by": "savepoint"})), _rescaled),
    # The first leaves orphans behind. Batches are sent all the time.
    "gc": Scenario(_of("gc", replace(_SPIKE, batch_deadline_ms=1_000), Fault(4_000, "cancel_and_restore"),
                       Fault(10_500, "gc", params={"grace_s": _GRACE_S}))),
    "jobmanager-ha": Scenario(_of("jobmanager-ha", replace(_STEADY, profile="60k:15s", parallelism=2),
                                  Fault(6_000, "kill_jobmanager", params={"zookeeper": True})), _recovered, zookeeper=True),
    "replay": Scenario(lambda seed: Schedule(seed, "replay", _STEADY, (_REPLAYS[seed % 2],)), expect_replay=True),
}
