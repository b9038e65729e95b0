"""The real processes that a run breaks: S3, Lambda, a Flink cluster, the sidecar, and the proxy before it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from demo import build, rest
from demo.errors import EX_SOFTWARE, EX_UNAVAILABLE, DemoError
from demo.machine import Placement, cpu_list
from demo.options import ROOT
from demo.processes import Processes, wait_until
from demo.services import AWS, BUCKET, FUNCTION, MEMORY_MB
from flink_cluster.cluster import free_ports
from flink_cluster.config import SHORT_LIVED_OPTIONS, find_java

from .clock import Clock
from .flink import Flink
from .local_cloud import FaultRules
from .proxy import Proxy
from .schedule import Schedule

PREFIX = "faults"
# Enough for the whole job at the highest parallelism on one TaskManager, when the other is gone.
_SLOTS = 3
CHECKPOINT_S = 8
_FUNCTION_TIMEOUT = "3s"
_CLUSTER = str(ROOT / "scripts" / "flink-cluster.sh")
_UP_S = 20.0
_STOPPING = re.compile(r"stopping: .*in_flight=(\d+)")


@dataclass(frozen=True)
class Replaced:
    """How a sidecar took its leave. `in_flight`: batches when it was asked to."""

    exit_code: int
    in_flight: int
    drained_s: float
    without_s: float

    def __str__(self) -> str:
        return (f"the old one had {self.in_flight} batches in flight, ended with {self.exit_code} after {self.drained_s:.2f} s; "
                f"{self.without_s:.2f} s without any")


class World:
    """Everything that runs. Use as a context manager; whatever happens, no process is left."""

    def __init__(self, folder: Path, flink_options: dict[str, str] | None = None, taskmanagers: int = 2, zookeeper: bool = False) -> None:
        self.folder = folder
        # Whether its cluster has run a job.
        self.warm = False
        self._taskmanagers = taskmanagers
        self._zookeeper = zookeeper
        self._flink_options = flink_options or {}
        self.placement = Placement.of_this_machine()
        self.processes = Processes(folder)
        self.s3_root = folder / "s3"
        self._ports = dict(zip(("s3", "s3_admin", "lambda", "unused", "sidecar", "sidecar_next", "proxy", "zookeeper"), free_ports(8)))
        self._running: dict[str, subprocess.Popen] = {}
        self._sidecar_config: Path | None = None
        self._schedule: Schedule | None = None
        # Of TaskManagers, by Flink's id.
        self._pids: dict[str, int] = {}
        self.clock = Clock(folder)
        self.proxy = Proxy(self._ports["proxy"], self._ports["sidecar"])
        self.lambda_rules = FaultRules(self.url("lambda"), "lambda")
        self.s3_rules = FaultRules(self.url("s3_admin"), "s3")
        self.flink = Flink("")
        self.jar_id = ""

    def url(self, part: str) -> str:
        """Where a part listens."""
        return f"http://127.0.0.1:{self._ports[part]}"

    def __enter__(self) -> "World":
        self.processes.__enter__()
        try:
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        # Stopped processes do not end on SIGTERM.
        for pid in self._stopped_ones():
            _signal(pid, signal.SIGCONT)
        self.proxy.stop()
        self.processes.__exit__(*error)

    def _start(self) -> None:
        self.proxy.start()
        self.start("s3")
        self.start("lambda")
        pins = []
        if self.placement.pinned:
            pins = ["--cpus-tm", cpu_list(self.placement.taskmanager), "--cpus-jm", cpu_list(self.placement.others)]
        settings = {
            "s3.endpoint": self.url("s3"), "s3.path.style.access": "true",
            "s3.access-key": AWS["AWS_ACCESS_KEY_ID"], "s3.secret-key": AWS["AWS_SECRET_ACCESS_KEY"],
            "env.java.opts.jobmanager": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "taskmanager.memory.process.size": "1300m",
            # Slot sharing groups that are apart shall be on different TaskManagers.
            "taskmanager.load-balance.mode": "SLOTS",
            "web.upload.dir": str(self.folder / "jars"),
            # What a job was restored from, or shall be, must still be there.
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            "execution.checkpointing.num-retained": "3",
            # A disturbed checkpoint shall not hold up the next one for ten minutes.
            "execution.checkpointing.timeout": f"{CHECKPOINT_S} s",
            # Which one failed is asked for at the end of a run.
            "web.checkpoints.history": "300",
            # One that does not find its way to a JobManager that was started anew at the old address (its old connection is kept
            # half dead) ends, and the supervisor starts another; Flink's default is 5 min.
            "taskmanager.registration.timeout": "15 s",
            # The S3 file system would try for minutes before it says that a write has failed.
            "fs.s3a.attempts.maximum": "4", "fs.s3a.retry.limit": "3", "fs.s3a.retry.interval": "200ms",
            "fs.s3a.connection.timeout": "3000", "fs.s3a.connection.establish.timeout": "2000",
            **self._flink_options,
        }
        if self._zookeeper:
            settings |= self._start_zookeeper()
        (self.folder / "jars").mkdir()
        self.processes.run("flink-cluster", [
            _CLUSTER, "start", "--dir", str(self.folder / "flink"), *pins, "--restart-jobmanager",
            "--taskmanagers", str(self._taskmanagers), "--slots", str(_SLOTS),
            *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        ])
        self.flink = Flink(self.cluster()["rest_url"])
        self.jar_id = self.flink.upload(build.JAR)

    def _start_zookeeper(self) -> dict[str, str]:
        """One from Flink's own jars, which have the server too; Flink's options for high availability with it."""
        configuration = self.folder / "zoo.cfg"
        configuration.write_text(f"dataDir={self.folder}/zookeeper\nclientPort={self._ports['zookeeper']}\nclientPortAddress=127.0.0.1\n"
                                 "admin.enableServer=false\ntickTime=500\n", encoding="ascii")
        self._running["zookeeper"] = self.processes.start("zookeeper", [
            *self.placement.prefix(), find_java(), "-Xmx96m", *SHORT_LIVED_OPTIONS, "-cp", f"{build.CLUSTER_LIB}/*",
            "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServerMain", str(configuration),
        ])
        return {
            "high-availability.type": "zookeeper",
            "high-availability.zookeeper.quorum": f"127.0.0.1:{self._ports['zookeeper']}",
            "high-availability.storageDir": f"file://{self.folder}/ha",
            # A killed leader's session must run out before there is another one.
            "high-availability.zookeeper.client.session-timeout": "3 s",
        }

    def cluster(self) -> dict:
        """The cluster's addresses and process ids of now."""
        return json.loads((self.folder / "flink" / "cluster.json").read_text(encoding="utf-8"))

    # ------------------------------------------------------------------ parts that can be killed alone

    def start(self, part: str) -> float:
        """Starts s3, lambda or the sidecar and waits until it is up; says how long that took."""
        began = time.monotonic()
        ready = self.folder / f"{part}.json"
        ready.unlink(missing_ok=True)
        command, environment = {"s3": self._s3, "lambda": self._lambda, "sidecar": self._sidecar}[part]()
        process = self.processes.start(part, [*self.placement.prefix(), *command, "--ready-file", str(ready)], **environment)
        self._running[part] = process
        self.processes.ready(part, process, ready, _UP_S)
        if part in ("s3", "lambda"):
            (self.s3_rules if part == "s3" else self.lambda_rules).renew()
        return time.monotonic() - began

    def end(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends a part by a signal and waits for it."""
        process = self._running.pop(part, None)
        if process is not None:
            _signal(process.pid, signal.SIGCONT)
            _signal(process.pid, number)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def replace_sidecar(self, overlap: bool) -> Replaced:
        """Ends the sidecar by SIGTERM and starts another, at the same address; or, with `overlap`, the other one first, at the next one."""
        old, log = self._running["sidecar"], self.processes.log("sidecar")
        place = log.stat().st_size
        if overlap:
            self._ports["sidecar"], self._ports["sidecar_next"] = self._ports["sidecar_next"], self._ports["sidecar"]
            self.configure_sidecar(self._schedule)
            self.start("sidecar")
            self.proxy.lead_to(self._ports["sidecar"])
        told = time.monotonic()
        _signal(old.pid, signal.SIGTERM)
        try:
            exit_code = old.wait(_UP_S)
        except subprocess.TimeoutExpired:
            raise DemoError(EX_SOFTWARE, f"the sidecar runs {_UP_S:.0f} s after SIGTERM") from None
        ended = time.monotonic()
        if not overlap:
            self.start("sidecar")
        with open(log, "rb") as file:
            file.seek(place)
            said = _STOPPING.search(file.read().decode("utf-8", "replace"))
        without_s = 0.0 if overlap else time.monotonic() - ended
        return Replaced(exit_code, int(said[1]) if said else 0, ended - told, without_s)

    def pids(self, part: str) -> list[int]:
        """The process id of s3, lambda or the sidecar; none if it is down."""
        return [self._running[part].pid] if part in self._running else []

    def ended_parts(self) -> list[str]:
        """Parts that have ended although nobody ended them."""
        return [part for part, process in self._running.items() if process.poll() is not None]

    def _s3(self) -> tuple[list[str], dict[str, str]]:
        return [str(build.BINARIES["spillway-local-cloud"]), "--s3-root", str(self.s3_root), "--bucket", BUCKET,
                "--s3-port", str(self._ports["s3"]), "--lambda-port", str(self._ports["s3_admin"])], {}

    def _lambda(self) -> tuple[list[str], dict[str, str]]:
        # Its own S3 is not used: the functions are told of the other one.
        return [str(build.BINARIES["spillway-local-cloud"]), "--s3-root", str(self.folder / "unused-s3"),
                "--s3-port", str(self._ports["unused"]), "--lambda-port", str(self._ports["lambda"]),
                "--function", f"{FUNCTION}={build.BINARIES['spillway-burst']}",
                "--function-env", f"SPILLWAY_DESTINATION=s3://{BUCKET}/{PREFIX}",
                "--function-env", f"AWS_ENDPOINT_URL_S3={self.url('s3')}",
                "--memory-mb", str(MEMORY_MB), "--timeout", _FUNCTION_TIMEOUT], {}

    def _sidecar(self) -> tuple[list[str], dict[str, str]]:
        return [str(build.BINARIES["spillway"]), "run", "--config", str(self._sidecar_config)], {**AWS, **self.clock.environment}

    def configure_sidecar(self, schedule: Schedule) -> None:
        """Writes the sidecar's configuration for a run."""
        self._schedule = schedule
        self._sidecar_config = self.folder / f"{schedule.name}.toml"
        self._sidecar_config.write_text(f"""\
listen = "127.0.0.1:{self._ports['sidecar']}"

[flink]
rest_url = {json.dumps(self.flink.url)}
job = "{schedule.name}"

[lambda]
function = "{FUNCTION}"
region = "{AWS['AWS_REGION']}"
endpoint_url = "{self.url('lambda')}"
memory_mb = {MEMORY_MB}

[divert]
max_concurrency = 4

[policy]
mode = "{schedule.setup.mode}"
""", encoding="utf-8")

    # ------------------------------------------------------------------ looking around

    def taskmanager(self, which: int) -> list[int]:
        """The process id of one of the TaskManagers that have work, the `which`-th of them; none if none is known to have."""
        pids = self.cluster()["taskmanager_pids"]
        busy = [pid for pid in map(self._pid_of_taskmanager, self.flink.busy_taskmanagers()) if pid in pids]
        return busy[which % len(busy):][:1] if busy else []

    def lane(self, job: str) -> list[int]:
        """The process id of the TaskManager that has the local lane's windows, if it does not have the source as well."""
        lane, source = (self.flink.taskmanagers_of(job, name) for name in ("count", "replay"))
        return [pid for pid in map(self._pid_of_taskmanager, lane - source) if pid]

    def _pid_of_taskmanager(self, resource: str) -> int | None:
        """Flink does not tell; but each names itself in its own log, and its log in its command line."""
        if resource not in self._pids:
            for pid in self.cluster()["taskmanager_pids"]:
                for part in _command(pid):
                    if part.startswith(b"-Dlog.file="):
                        log = Path(os.fsdecode(part.partition(b"=")[2]))
                        if log.exists() and resource in log.read_text(encoding="utf-8", errors="replace"):
                            self._pids[resource] = pid
        return self._pids.get(resource)

    def functions(self) -> list[int]:
        """The process ids of the function's instances."""
        process = self._running.get("lambda")
        return [] if process is None else [pid for pid in _children(process.pid) if _binary(pid) == build.BINARIES["spillway-burst"].name]

    @staticmethod
    def processor_s(pid: int) -> float:
        """How long a process has had a processor so far."""
        total = 0
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except (OSError, IndexError):
                continue
        return total / 1e9

    def invocations_running(self) -> int:
        """How many invocations Lambda has under way; 0 while it does not answer."""
        try:
            return rest.get(f"{self.url('lambda')}/_local/stats")["concurrent"]
        except rest.Unreachable:
            return 0

    def sidecar_status(self) -> dict | None:
        """What the sidecar says of itself; None while it does not answer."""
        try:
            return rest.get(f"{self.url('sidecar')}/v1/status", 1.0)
        except rest.Unreachable:
            return None

    def logs(self) -> dict[str, Path]:
        """The log of each component."""
        flink = self.folder / "flink" / "log"
        found = {name: flink / f"{name}.log" for name in ("jobmanager", *(f"taskmanager-{i}" for i in range(self._taskmanagers)))}
        return found | {"supervisor": flink / "supervisor.log"} | {name: self.processes.log(name) for name in ("sidecar", "lambda", "s3")}

    def settle(self) -> None:
        """Makes everything whole again before a run: all parts up, no rules, no jobs, all TaskManagers there."""
        for pid in self._stopped_ones():
            _signal(pid, signal.SIGCONT)
        for part in ("s3", "lambda"):
            if part not in self._running or self._running[part].poll() is not None:
                self.start(part)
        self.lambda_rules.clear()
        self.s3_rules.clear()
        self.clock.set(0)
        self.end("sidecar", signal.SIGTERM)
        if not wait_until(lambda: self.flink.taskmanagers() == self._taskmanagers, 40, 0.1):
            raise DemoError(EX_UNAVAILABLE, f"Flink has {self.flink.taskmanagers()} of {self._taskmanagers} TaskManagers; see {self.folder}/flink/log")
        for job, state in self.flink.jobs().items():
            if state not in ("FINISHED", "FAILED", "CANCELED"):
                self.flink.cancel(job)
        if not wait_until(lambda: self.flink.free_slots() == self._taskmanagers * _SLOTS, 30, 0.1):
            raise DemoError(EX_SOFTWARE, "an old job does not give its slots back")

    def stop_or_continue(self, pids: list[int], number: signal.Signals) -> int:
        """Signals processes; says how many there were."""
        return sum(_signal(pid, number) for pid in pids)

    def _stopped_ones(self) -> list[int]:
        pids = [process.pid for process in self._running.values()] + self.functions()
        try:
            cluster = self.cluster()
            pids += [cluster["jobmanager_pid"], *cluster["taskmanager_pids"]]
        except (OSError, ValueError):
            pass
        return [pid for pid in pids if pid and _state(pid) == "T"]


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _binary(pid: int) -> str:
    try:
        return Path(os.readlink(f"/proc/{pid}/exe")).name
    except OSError:
        return ""


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
