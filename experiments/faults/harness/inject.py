"""How each kind of fault is brought about in the running world, and ended; and what shows that it hit something."""

from __future__ import annotations

import math
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from .collect import in_mid_run
from .job import Job
from .kinds import CHECKPOINTS, KINDS, WRITTEN
from .logs import Logs
from .proxy import Trouble
from .schedule import Fault
from .world import CHECKPOINT_S, World


# The valve's words when nobody listens; the sidecar's, when Lambda does not, are others.
_REFUSED = re.compile(r"(?:does not answer reports|Batch \S+ ).*ConnectException")
# What an instance, Lambda or S3 uses of its processor for less than one request.
_IDLE_S = 0.000_3
LOOK_S = 0.05


@dataclass
class Struck:
    """A fault that was brought about. `times`: how often it hit something; 0: it missed."""

    fault: Fault
    times: int = 0
    said: str = ""
    undo: Callable[[], None] = field(default=lambda: None, repr=False)
    # How often it has hit something so far, if that is not known from the start.
    hits: Callable[[], int] | None = field(default=None, repr=False)
    # Whether it may end, if that is not known from its hits.
    enough: Callable[[], bool] | None = field(default=None, repr=False)
    # Whether it is still being brought about.
    under_way: Callable[[], bool] = field(default=lambda: False, repr=False)

    def look(self) -> int:
        """How often it has hit something so far."""
        if self.hits:
            self.times = max(self.times, self.hits())
        return self.times


class Injector:
    """Begins and ends faults. What takes long, such as submitting a job anew, keeps nobody else waiting."""

    def __init__(self, world: World, job: Job, logs: Logs) -> None:
        self._world, self._job, self._logs = world, job, logs
        self._threads: list[threading.Thread] = []
        # What was seen last, and when; and when a process was last seen to work.
        self._seen: dict[Any, tuple[float, float]] = {}
        self._worked: dict[int, float] = {}
        self.failures: list[BaseException] = []

    def ready(self, fault: Fault) -> bool:
        """Whether there is something to hit: a process that works, a job that can go on from a checkpoint. Ask until there is."""
        kind = fault.kind
        part = kind.partition("_")[2]
        if part in ("function", "all_functions"):
            return bool(self._working(self._world.functions()))
        if part in ("lambda", "s3"):
            return bool(self._working(self._world.pids(part)))
        if part == "sidecar" and kind != "replace_sidecar":
            return bool(self._world.pids("sidecar")) and self._grown("requests", self._world.proxy.requests) > 0
        if part == "taskmanager":
            return fault.params["which"] == "lane" or bool(self._world.taskmanager(fault.params["which"]))
        if part == "jobmanager":
            return self._job.at_work()
        if kind in WRITTEN:
            return True
        if kind == "failing_checkpoints":
            # Where the next one will be is known from one that there is.
            return self._job.at_work() and self._job.latest() != self._job.restored_from
        return KINDS[kind].family != "flink" or (self._job.at_work() and self._job.latest() is not None)

    def has_work(self) -> bool:
        """Whether the job goes on, whatever its input's end."""
        return self._job.goes_on()

    @staticmethod
    def look_again_s(fault: Fault) -> float:
        """How long to wait before one asks again: Flink is not to be kept busy with it."""
        return 0.25 if fault.kind.endswith("manager") or (KINDS | WRITTEN)[fault.kind].family == "flink" else LOOK_S

    def begin(self, fault: Fault) -> Struck:
        """Brings a fault about."""
        struck = Struck(fault)
        family = (KINDS | WRITTEN)[fault.kind].family
        if family in ("function", "s3"):
            self._rule(struck, dict(fault.params))
        elif family == "wire":
            self._wire(struck)
        else:
            getattr(self, f"_{fault.kind}")(struck)
        return struck

    def _working(self, pids: list[int]) -> list[int]:
        """Those that have used their processor since they were asked for last, just now."""
        found = [pid for pid in pids if self._grown(pid, self._world.processor_s(pid)) > _IDLE_S]
        self._worked |= dict.fromkeys(found, time.monotonic())
        return found

    def _grown(self, what: Any, value: float) -> float:
        """By how much something has grown since the last look; 0 if that was not just now."""
        now = time.monotonic()
        at, before = self._seen.get(what, (-math.inf, value))
        self._seen[what] = (now, value)
        return value - before if now - at < 5 * LOOK_S else 0.0

    def wait(self) -> None:
        """Until everything that was begun is done. Raises what went wrong."""
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def _aside(self, struck: Struck, operation: Callable[[], str], wanted: str = "goes on from") -> None:
        def run() -> None:
            try:
                struck.said = operation()
                struck.times = int(wanted in struck.said)
            except BaseException as failure:  # Told by wait().
                self.failures.append(failure)
        thread = threading.Thread(target=run, name=struck.fault.kind)
        self._threads.append(thread)
        struck.under_way = thread.is_alive
        thread.start()

    # ------------------------------------------------------------------ rules and wires

    def _rule(self, struck: Struck, rule: dict[str, Any]) -> None:
        rules = self._world.lambda_rules if KINDS[struck.fault.kind].family == "function" else self._world.s3_rules
        if not rule.get("key_contains", "x"):
            del rule["key_contains"]
        rules.add(rule)
        struck.hits = lambda: rules.struck(rule)

        def undo() -> None:
            times, struck.hits = rules.remove(rule), None
            struck.times = max(struck.times, times)
        struck.undo = undo

    def _wire(self, struck: Struck) -> None:
        params = struck.fault.params
        trouble = Trouble(struck.fault.kind.removeprefix("wire_"), params.get("on", "both"), params.get("at", ""), params.get("delay_ms", 0))
        mark = self._logs.mark()
        self._world.proxy.begin(trouble)
        struck.undo = lambda: self._world.proxy.end(trouble)
        if trouble.name == "refused":
            # Nobody counts connections that were refused; but the valves tell.
            _while_it_lasts(struck, lambda: self._logs.count(_REFUSED, mark))
        else:
            # An answer that is late may be so later than the fault's end.
            struck.hits = lambda: trouble.struck

    # ------------------------------------------------------------------ processes

    def _kill_taskmanager(self, struck: Struck) -> None:
        struck.times = self._world.stop_or_continue(self._world.taskmanager(struck.fault.params["which"]), signal.SIGKILL)

    def _stop_taskmanager(self, struck: Struck) -> None:
        which = struck.fault.params["which"]
        self._stop(struck, self._world.lane(str(self._job.id)) if which == "lane" else self._world.taskmanager(which))

    def _kill_jobmanager(self, struck: Struck) -> None:
        # Looked up when it comes to it: an operation before this one may take its time, or kill the JobManager itself.
        def kill() -> bool:
            pid = self._world.cluster()["jobmanager_pid"]
            return bool(pid) and self._world.stop_or_continue([pid], signal.SIGKILL) > 0
        recover = self._job.recover_after_jobmanager if struck.fault.params.get("zookeeper") else self._job.resubmit_after_jobmanager
        self._aside(struck, lambda: recover(kill))

    def _stop_jobmanager(self, struck: Struck) -> None:
        pid = self._world.cluster()["jobmanager_pid"]
        self._stop(struck, [pid] if pid else [])

    def _kill_function(self, struck: Struck) -> None:
        struck.times = self._world.stop_or_continue(self._at_work()[-1:], signal.SIGKILL)

    def _kill_all_functions(self, struck: Struck) -> None:
        struck.times = self._world.stop_or_continue(self._world.functions(), signal.SIGKILL)

    def _stop_function(self, struck: Struck) -> None:
        self._stop(struck, self._at_work()[-1:])

    def _stop_all_functions(self, struck: Struck) -> None:
        self._stop(struck, self._world.functions())

    def _at_work(self) -> list[int]:
        """Instances of the function, those that were last seen to work at the end."""
        return sorted(self._world.functions(), key=lambda pid: self._worked.get(pid, 0.0))

    def _kill_sidecar(self, struck: Struck) -> None:
        self._kill(struck, "sidecar")
        self._asked_for(struck)

    def _stop_sidecar(self, struck: Struck) -> None:
        self._stop(struck, self._world.pids("sidecar"))
        self._asked_for(struck)

    def _asked_for(self, struck: Struck) -> None:
        """The sidecar is missed as often as valves ask for it."""
        before = self._world.proxy.requests
        if struck.times:
            struck.times = 0
            _while_it_lasts(struck, lambda: self._world.proxy.requests - before)

    def _replace_sidecar(self, struck: Struck) -> None:
        replaced = self._world.replace_sidecar(struck.fault.params["overlap"])
        struck.times = int(replaced.exit_code == 0 and replaced.in_flight > 0)
        struck.said = str(replaced)

    def _kill_lambda(self, struck: Struck) -> None:
        self._kill(struck, "lambda")

    def _stop_lambda(self, struck: Struck) -> None:
        self._stop(struck, self._world.pids("lambda"), self._world.lambda_rules.renew)

    def _kill_s3(self, struck: Struck) -> None:
        self._kill(struck, "s3")

    def _stop_s3(self, struck: Struck) -> None:
        self._stop(struck, self._world.pids("s3"), self._world.s3_rules.renew)

    def _stop(self, struck: Struck, pids: list[int], then: Callable[[], None] = lambda: None) -> None:
        struck.times = self._world.stop_or_continue(pids, signal.SIGSTOP)

        def undo() -> None:
            self._world.stop_or_continue(pids, signal.SIGCONT)
            then()
        struck.undo = undo

    def _kill(self, struck: Struck, part: str) -> None:
        if not self._world.pids(part):
            return
        self._world.end(part, signal.SIGKILL)
        struck.times = 1

        def undo() -> None:
            struck.said = f"up again in {self._world.start(part):.2f} s"
        struck.undo = undo

    # ------------------------------------------------------------------ Flink and the clock

    def _failing_checkpoints(self, struck: Struck) -> None:
        before, submission = self._job.failed_checkpoints(), str(self._job.id)
        if not self._job.checkpoints().startswith("s3://"):
            struck.undo = self._job.block_checkpoints() or struck.undo
            # Flink has to say so.
            _while_it_lasts(struck, lambda: self._job.failed_checkpoints() - before)
            return
        rule, began_ms, refused_at = Struck(struck.fault), _wall_ms(), math.inf
        self._rule(rule, {"kind": "500", "key_contains": CHECKPOINTS})

        def enough() -> bool:
            """A write that is refused is tried again until its checkpoint's time is over."""
            nonlocal refused_at
            if rule.look() and refused_at == math.inf:
                refused_at = time.monotonic()
            return time.monotonic() - refused_at > CHECKPOINT_S + 0.5

        def undo() -> None:
            rule.undo()
            ended_ms = _wall_ms()
            # Flink counts it only when it may clear away what there is of it, which is refused as well until now.
            struck.hits = lambda: min(rule.times, self._job.failed_in(submission, began_ms, ended_ms))
        struck.enough, struck.undo = enough, undo

    def _savepoint_and_restore(self, struck: Struck) -> None:
        self._aside(struck, lambda: self._job.stop_and_restore(struck.fault.params.get("older", False)))

    def _cancel_and_restore(self, struck: Struck) -> None:
        self._aside(struck, lambda: self._job.cancel_and_restore(struck.fault.params.get("older", False)))

    def _restore_twice(self, struck: Struck) -> None:
        self._aside(struck, self._job.restore_twice, "and then from the same again")

    def _rescale(self, struck: Struck) -> None:
        params = struck.fault.params
        self._aside(struck, lambda: self._job.rescale(params["to"], params["by"]))

    def _clock(self, struck: Struck) -> None:
        before, step_s = self._world.proxy.answers, struck.fault.params["step_s"]
        self._world.clock.set(step_s)
        seen = False

        def answers() -> int:
            """What the sidecar has done by a clock that it says itself is stepped."""
            nonlocal seen
            status = None if seen else self._world.sidecar_status()
            seen = seen or (status is not None and stepped(status["time_ms"], time.time(), step_s))
            return self._world.proxy.answers - before if seen else 0
        struck.undo = lambda: self._world.clock.set(0)
        _while_it_lasts(struck, answers)

    def _gc(self, struck: Struck) -> None:
        self._aside(struck, lambda: in_mid_run(self._world, self._job, struck.fault.params["grace_s"]), "orphans removed")


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def stepped(told_ms: int, now_s: float, step_s: int) -> bool:
    """Whether a clock is about so far from the true time."""
    return abs(told_ms / 1_000 - now_s - step_s) < 60


def _while_it_lasts(struck: Struck, hits: Callable[[], int]) -> None:
    """What is counted after a fault's end is another's."""
    undo = struck.undo

    def end() -> None:
        struck.look()
        struck.hits = None
        undo()
    struck.hits, struck.undo = hits, end
