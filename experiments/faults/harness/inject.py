"""How each kind of fault is brought about in the running world, and ended."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from typing import Any, Callable

from .job import Job
from .kinds import KINDS, WRITTEN
from .proxy import Trouble
from .schedule import Fault
from .world import World


@dataclass
class Struck:
    """A fault that was brought about. `times`: how often it hit something; 0: it missed."""

    fault: Fault
    times: int = 0
    said: str = ""
    undo: Callable[[], None] = field(default=lambda: None, repr=False)


class Injector:
    """Begins and ends faults. What takes long, such as submitting a job anew, keeps nobody else waiting."""

    def __init__(self, world: World, job: Job) -> None:
        self._world, self._job = world, job
        self._threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []

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

    def wait(self) -> None:
        """Until everything that was begun is done. Raises what went wrong."""
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def _aside(self, struck: Struck, operation: Callable[[], str]) -> None:
        def run() -> None:
            try:
                struck.said = operation()
                struck.times = int("goes on from" in struck.said)
            except BaseException as failure:  # Told by wait().
                self.failures.append(failure)
        self._threads.append(threading.Thread(target=run, name=struck.fault.kind))
        self._threads[-1].start()

    # ------------------------------------------------------------------ rules and wires

    def _rule(self, struck: Struck, rule: dict[str, Any]) -> None:
        rules = self._world.lambda_rules if KINDS[struck.fault.kind].family == "function" else self._world.s3_rules
        if not rule.get("key_contains", "x"):
            del rule["key_contains"]
        rules.add(rule)

        def undo() -> None:
            struck.times = rules.remove(rule)
        struck.undo = undo

    def _wire(self, struck: Struck) -> None:
        params = struck.fault.params
        trouble = Trouble(struck.fault.kind.removeprefix("wire_"), params["on"], params.get("at", ""), params.get("delay_ms", 0))
        self._world.proxy.begin(trouble)

        def undo() -> None:
            self._world.proxy.end(trouble)
            struck.times = trouble.struck
        struck.undo = undo

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
        struck.times = self._world.stop_or_continue(self._world.functions()[-1:], signal.SIGKILL)

    def _kill_all_functions(self, struck: Struck) -> None:
        struck.times = self._world.stop_or_continue(self._world.functions(), signal.SIGKILL)

    def _stop_function(self, struck: Struck) -> None:
        self._stop(struck, self._world.functions()[-1:])

    def _stop_all_functions(self, struck: Struck) -> None:
        self._stop(struck, self._world.functions())

    def _kill_sidecar(self, struck: Struck) -> None:
        self._kill(struck, "sidecar")

    def _stop_sidecar(self, struck: Struck) -> None:
        self._stop(struck, self._world.pids("sidecar"))

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
        if self._job.checkpoints().startswith("s3://"):
            self._rule(struck, {"kind": "500", "key_contains": "checkpoints/"})
            return
        clear = self._job.block_checkpoints()
        struck.times = int(clear is not None)
        struck.undo = clear or struck.undo

    def _savepoint_and_restore(self, struck: Struck) -> None:
        self._aside(struck, lambda: self._job.stop_and_restore(struck.fault.params.get("older", False)))

    def _cancel_and_restore(self, struck: Struck) -> None:
        self._aside(struck, lambda: self._job.cancel_and_restore(struck.fault.params.get("older", False)))

    def _restore_twice(self, struck: Struck) -> None:
        self._aside(struck, self._job.restore_twice)

    def _rescale(self, struck: Struck) -> None:
        params = struck.fault.params
        self._aside(struck, lambda: self._job.rescale(params["to"], params["by"]))

    def _clock(self, struck: Struck) -> None:
        self._world.clock.set(struck.fault.params["step_s"])
        struck.times = 1
        struck.undo = lambda: self._world.clock.set(0)
