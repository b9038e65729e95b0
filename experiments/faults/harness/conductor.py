"""One run: starts the job, brings the faults about, waits for the end, and judges."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from demo.errors import DemoError
from demo.services import BUCKET

from . import audit
from .inject import Injector, Struck
from .job import Job
from .kinds import KINDS, WRITTEN
from .logs import Logs
from .schedule import Schedule
from .world import PREFIX, World

# From submission until the first record is due: deploying takes about a second.
_LEAD_MS = 3_000
# The same for the first job of a cluster: its processes have yet to load and compile all that a job needs.
_COLD_LEAD_MS = 12_000
# Beyond so many processes a core, waiting does not help.
_MOST_LOAD = 3.0
# What a run may take beyond its input: some restarts of seconds each, and the deadlines of batches.
_STUCK_AFTER_S = 75.0
_AFTER_FAULT_S = 1.5
# In turn: what one fault has done is not quite over when it ends.
_BETWEEN_S = 0.3
# From then to the input's end nobody waits for something to hit.
_NO_LONGER_S = 1.5
# Unless it was held up, and works beyond that.
_CATCHES_UP_S = 12.0
_LINES = 4
_WIDTH = 200
_OF_THE_JOB = ("submissions", "flink_restarts", "checkpoints_completed", "checkpoints_failed")


@dataclass
class Outcome:
    """What became of a run."""

    schedule: Schedule
    struck: list[Struck] = field(default_factory=list)
    balance: dict = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    measured: dict = field(default_factory=dict)
    submissions: int = 0
    flink_restarts: int = 0
    checkpoints_completed: int = 0
    checkpoints_failed: int = 0
    took_s: float = 0.0

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, nothing stuck."""
        return not self.wrong

    def to_json(self) -> dict:
        """A line for the results."""
        kept = ("received", "kept", "diverted", "bounced", "late", "receipts", "orphans", "windows", "open", "lost", "duplicated")
        return {
            "of": self.schedule.of, "seed": self.schedule.seed, "good": self.good, "wrong": self.wrong,
            "faults": [f"{struck.fault.kind} x{struck.times}" for struck in self.struck],
            "faults_that_struck": sum(1 for struck in self.struck if struck.times),
            **{name: getattr(self, name) for name in _OF_THE_JOB}, **{name: self.balance.get(name) for name in kept}, **self.measured, "took_s": round(self.took_s, 1),
        }


Check = Callable[[World, Schedule, "Timeline", list[Struck]], tuple[dict, list[str]]]


@dataclass
class Timeline:
    """When things were, by the monotonic clock in seconds."""

    due: float
    ends: float
    due_wall_ms: int
    # Of each fault: when it began and when it was undone.
    faults: list[tuple[float, float]] = field(default_factory=list)


def conduct(world: World, schedule: Schedule, input_file: Path, say: Callable[[str], None],
            check: Check | None = None, expect_replay: bool = False, paced: bool = True) -> Outcome:
    """Runs a schedule, `paced` or as fast as it goes. Never raises for what the run itself did wrong: that is in the outcome."""
    began = time.monotonic()
    outcome = Outcome(schedule)
    folder = world.folder / schedule.name
    folder.mkdir(exist_ok=True)
    (folder / "schedule.json").write_text(schedule.to_json() + "\n", encoding="utf-8")
    job = None
    logs = Logs(world.logs())
    try:
        world.settle()
        world.configure_sidecar(schedule)
        world.start("sidecar")
        world.proxy.reports.clear()
        now_ms = time.time_ns() // 1_000_000
        lead_ms = lead(paced and not world.warm, os.getloadavg()[0] / (os.cpu_count() or 1))
        due_ms = -(-(now_ms + lead_ms) // 1_000) * 1_000
        due = time.monotonic() + (due_ms - now_ms) / 1_000
        length_s = sum(float(part.split(":")[1].removesuffix("s")) for part in schedule.setup.profile.split(","))
        timeline = Timeline(due, due + length_s, due_ms)
        job = Job(world, schedule, input_file, due_ms, say, paced)
        job.submit()
        injector = Injector(world, job, logs)
        outcome.struck = _play(world, schedule, timeline, injector, logs, say)
        _until_finished(world, job, timeline, outcome)
        for one in outcome.struck:
            # An answer may have been late until now.
            one.look()
            say(f"         {one.fault.kind}: " + (f"struck {one.times} times" if one.times else "missed") + (f", {one.said}" if one.said else ""))
        world.warm = True
        if not outcome.wrong:
            found = audit.audit(world, schedule, job, input_file, expect_replay)
            outcome.balance, outcome.wrong = found.balance, outcome.wrong + found.wrong
            if check:
                outcome.measured, wrong = check(world, schedule, timeline, outcome.struck)
                outcome.wrong += wrong
        if schedule.kinds_must_strike and (missed := never_struck(outcome.struck)):
            outcome.wrong.append(f"never struck, so nothing is shown: {', '.join(missed)}")
    except DemoError as error:
        outcome.wrong.append(str(error))
    panics = logs.panics()
    outcome.wrong += [f"it must not panic ({len(panics)} times): {line}" for line in panics[:1]]
    outcome.wrong += [f"{part} ended by itself" for part in world.ended_parts()]
    if job:
        for name in _OF_THE_JOB:
            setattr(outcome, name, getattr(job, name))
    outcome.took_s = time.monotonic() - began
    if outcome.good:
        _forget(world, schedule)
    else:
        _preserve(world, folder, outcome)
    return outcome


def lead(cold: bool, load: float) -> int:
    """How many milliseconds a job gets before its first record is due; more on cores that others want as well."""
    return round((_COLD_LEAD_MS if cold else _LEAD_MS) * min(max(1.0, load), _MOST_LOAD))


def _play(world: World, schedule: Schedule, timeline: Timeline, injector: Injector, logs: Logs, say: Callable[[str], None]) -> list[Struck]:
    """Brings each fault about when it is due and has something to hit, ends it when its time is over and it has hit something.

    Nobody waits beyond the input's end, unless the job has yet to catch up. Tells what the components said around each.
    """
    faults, last = schedule.faults, timeline.ends - _NO_LONGER_S
    struck = [Struck(fault, said="there was nothing to hit") for fault in faults]
    due = [timeline.due + fault.at_ms / 1_000 for fault in faults]
    # (when, what comes first at the same moment, fault's number, what)
    agenda = [(when, 1, number, "begin") for number, when in enumerate(due[:1] if schedule.in_turn else due)]
    marks: dict[int, dict[str, int]] = {}
    timeline.faults = [(0.0, 0.0)] * len(faults)

    def may_wait(now: float) -> bool:
        return now < last or (now < last + _CATCHES_UP_S and injector.has_work())

    def over(number: int) -> None:
        if schedule.in_turn and number + 1 < len(faults):
            agenda.append((max(due[number + 1], time.monotonic() + _BETWEEN_S), 1, number + 1, "begin"))

    while agenda:
        agenda.sort()
        when, order, number, what = agenda.pop(0)
        time.sleep(max(0.0, when - time.monotonic()))
        fault, one = faults[number], struck[number]
        now = time.monotonic()
        if what == "begin":
            if not injector.ready(fault):
                if may_wait(now):
                    agenda.append((time.monotonic() + injector.look_again_s(fault), order, number, what))
                else:
                    over(number)
                continue
            now = time.monotonic()
            say(f"{now - timeline.due:5.1f} s  {fault.kind} begins")
            marks[number] = logs.mark()
            struck[number] = injector.begin(fault)
            timeline.faults[number] = (now, now)
            agenda.append((now + fault.lasts_ms / 1_000, 0, number, "end"))
        elif what == "end":
            patience = timeline.faults[number][0] + fault.lasts_ms / 1_000 + (KINDS | WRITTEN)[fault.kind].patience_s
            hit = one.enough() if one.enough else one.look() > 0
            if one.under_way() or (not hit and now < patience and may_wait(now)):
                agenda.append((time.monotonic() + injector.look_again_s(fault), order, number, what))
                continue
            one.undo()
            timeline.faults[number] = (timeline.faults[number][0], time.monotonic())
            if fault.lasts_ms:
                say(f"{now - timeline.due:5.1f} s  {fault.kind} ends" + (f": {one.said}" if one.said else ""))
            agenda.append((now + _AFTER_FAULT_S, 2, number, "look"))
            over(number)
        else:
            _tell(fault.describe(), logs.between(marks[number], logs.mark(), _LINES), world.folder / schedule.name / "around-faults.txt", say)
    injector.wait()
    return struck


def never_struck(struck: list[Struck]) -> list[str]:
    """Kinds of which every fault missed."""
    hit = {one.fault.kind for one in struck if one.times}
    return list(dict.fromkeys(one.fault.kind for one in struck if one.fault.kind not in hit))


def _tell(title: str, said: dict[str, list[str]], file: Path, say: Callable[[str], None]) -> None:
    """What each component logged around a fault: whole into a file, for the eye cut to a line's length."""
    with open(file, "a", encoding="utf-8") as out:
        print(f"\n== {title}", file=out)
        for name, lines in said.items():
            for line in lines:
                print(f"   {name:14} {line}", file=out)
                say(f"         | {name:14} {line}"[:_WIDTH])


def _until_finished(world: World, job: Job, timeline: Timeline, outcome: Outcome) -> None:
    deadline = timeline.ends + _STUCK_AFTER_S
    state = None
    while time.monotonic() < deadline:
        state = job.state() or state
        if state in ("FINISHED", "FAILED", "CANCELED"):
            break
        time.sleep(0.2)
    job.take_stock()
    if state != "FINISHED":
        if state not in ("FAILED", "CANCELED"):
            _stacks(world)
        outcome.wrong.append(f"the job did not finish: {state}, {_STUCK_AFTER_S:.0f} s after its input's end; {world.flink.cause(str(job.id))}")


def _stacks(world: World) -> None:
    """What everybody waits for, for whoever looks into it."""
    cluster = world.cluster()
    for name, pid in [("jobmanager", cluster["jobmanager_pid"]), *((f"taskmanager-{i}", pid) for i, pid in enumerate(cluster["taskmanager_pids"]))]:
        if pid:
            with open(world.folder / f"stacks-{name}.txt", "w", encoding="utf-8") as out:
                subprocess.run(["jstack", str(pid)], stdout=out, stderr=out, timeout=20, check=False)


def _forget(world: World, schedule: Schedule) -> None:
    """A good run's objects are of no more use."""
    world.end("sidecar", signal.SIGTERM)
    world.end("s3", signal.SIGTERM)
    for folder in (world.s3_root / BUCKET / PREFIX / schedule.name, world.s3_root / BUCKET / "checkpoints" / schedule.name,
                   world.folder / "checkpoints" / schedule.name, world.folder / schedule.name):
        shutil.rmtree(folder, ignore_errors=True)
    world.start("s3")


def _preserve(world: World, folder: Path, outcome: Outcome) -> None:
    (folder / "outcome.json").write_text(json.dumps(outcome.to_json(), indent=1) + "\n", encoding="utf-8")
    with open(folder / "reports.jsonl", "w", encoding="utf-8") as file:
        for report in world.proxy.reports:
            file.write(json.dumps({"at": report.at, "wall_ms": report.wall_ms, "subtask": report.subtask, **report.fields}) + "\n")
