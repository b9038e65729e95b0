"""Keeps a cluster's processes: restarts a TaskManager that died, as systemd or Kubernetes would.

A JobManager that died is not restarted unless the plan asks for it: without high availability it has lost its
jobs, and a cluster that looks healthy but has forgotten the job is worse than none. Its end ends the cluster.
Whoever asks for a restart submits the job anew, from its last checkpoint.
"""

import json
import os
import signal
import sys
import time

from . import config
from .processes import identity, is_alive, spawn

# Long enough for the dead process's memory to be free again. One that keeps dying young waits longer each time.
RESTART_DELAY_S = 0.5
RESTART_DELAY_MAX_S = 10.0
YOUNG_S = 10.0
# Flink's own shutdown hooks take about a second.
GRACE_S = 5.0


def log(message: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), message, flush=True)


def write_atomically(path: str, content: dict) -> None:
    """A reader sees the old file or the new one, never a part."""
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.write("\n")
    os.replace(temporary, path)


class Member:
    """One process's place in the cluster: its command, its process, and when it may be started again."""

    def __init__(self, name: str, command: list, cpus: list, directory: str):
        self.name = name
        self._command = [part.replace("{name}", name) for part in command]
        self._cpus = cpus
        self._directory = directory
        self._young_deaths = 0
        self.process = None
        self.started = 0.0
        self.start_at = 0.0

    def start(self) -> None:
        self.process = spawn(
            self._command,
            environment=config.environment(self._directory),
            cpus=self._cpus,
            output=os.path.join(self._directory, "log", f"{self.name}.out"),
        )
        self.started = time.monotonic()

    def reap(self) -> None:
        """Notes the process's end, if it has ended, and when its successor is due."""
        if self.process is None or self.process.poll() is None:
            return
        young = time.monotonic() - self.started < YOUNG_S
        self._young_deaths = self._young_deaths + 1 if young else 0
        delay = min(RESTART_DELAY_S * 2 ** max(0, self._young_deaths - 1), RESTART_DELAY_MAX_S)
        log(f"{self.name} (pid {self.process.pid}) ended with {self.process.returncode}; restart in {delay:g} s")
        self.process, self.start_at = None, time.monotonic() + delay


def supervise(directory: str) -> int:
    """Runs the cluster that DIR/plan.json describes until SIGTERM; returns the exit code."""
    with open(os.path.join(directory, "plan.json"), encoding="utf-8") as file:
        plan = json.load(file)
    state_file = os.path.join(directory, "cluster.json")
    wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)

    jobmanager = Member("jobmanager", plan["jobmanager"], plan["cpus_jm"], directory)
    taskmanagers = [
        Member(f"taskmanager-{index}", plan["taskmanager"], plan["cpus_tm"], directory)
        for index in range(plan["taskmanagers"])
    ]
    members = [jobmanager, *taskmanagers]
    exit_code = 0
    try:
        while True:
            changed = False
            if jobmanager.process and jobmanager.process.poll() is not None and not plan["restart_jobmanager"]:
                log(f"the JobManager ended with {jobmanager.process.returncode}: its jobs are lost, so the cluster ends")
                exit_code = 1
                break
            for member in members:
                member.reap()
                if member.process is None and time.monotonic() >= member.start_at:
                    member.start()
                    changed = True
            if changed:
                running = [t.process.pid for t in taskmanagers if t.process]
                of_jobmanager = [jobmanager.process.pid] if jobmanager.process else []
                write_atomically(state_file, {
                    "rest_url": plan["rest_url"],
                    "jobmanager_pid": of_jobmanager[0] if of_jobmanager else None,
                    "taskmanager_pids": running,
                    "supervisor_pid": os.getpid(),
                    "processes": [identity(pid) for pid in [os.getpid(), *of_jobmanager, *running]],
                })
            due = [m.start_at - time.monotonic() for m in members if m.process is None]
            received = signal.sigtimedwait(wanted, max(0.0, min(due, default=1.0)))
            if received is not None and received.si_signo != signal.SIGCHLD:
                log(f"stopping on {signal.Signals(received.si_signo).name}")
                break
            if plan["owner"] and not is_alive(plan["owner"]):
                log(f"the owner (pid {plan['owner']['pid']}) has ended: so does the cluster")
                break
    finally:
        stop_all([m.process for m in members if m.process])
        if os.path.exists(state_file):
            os.remove(state_file)
    return exit_code


def stop_all(processes: list) -> None:
    """Asks all to end, waits, then kills what is left."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        while process.poll() is None:
            if time.monotonic() >= deadline:
                log(f"pid {process.pid} did not end within {GRACE_S:g} s: killed")
                process.kill()
                process.wait()
                break
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1]))
