"""Starting and stopping a cluster, and knowing whether one runs."""

import glob
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid

from . import config
from .errors import CANNOT_CREATE, SOFTWARE, UNAVAILABLE, USAGE, Refused
from .processes import identity, is_alive, send, wait_until_gone
from .supervisor import GRACE_S, write_atomically

# The caller may be anywhere, so the supervisor is told where this package is.
SUPERVISOR = [sys.executable, "-m", "flink_cluster.supervisor"]
SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PORTS = ("rest.port", "jobmanager.rpc.port")
PORT_ATTEMPTS = 5
# Tells our JobManager from another that won the race for the port.
CLUSTER_ID = "spillway.cluster.id"
TERMINATION = {signal.SIGINT, signal.SIGTERM}
# What Flink and Netty say when somebody else took a port first.
BIND_FAILURES = ("BindException", "Could not start rest endpoint on any port", "Address already in use")
LOGS = ("supervisor.log", "jobmanager.out", "jobmanager.log", "taskmanager-0.out", "taskmanager-0.log")
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def state(directory: str) -> dict:
    """What cluster.json says; empty if there is none."""
    try:
        with open(os.path.join(directory, "cluster.json"), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def running(directory: str) -> list:
    """The cluster's processes that still run, the supervisor first."""
    return [process for process in state(directory).get("processes", []) if is_alive(process)]


def require(directory: str) -> dict:
    """The state of a cluster that runs, or a refusal."""
    if not running(directory):
        raise Refused(UNAVAILABLE, f"no cluster runs in {directory}: start one with flink-cluster.sh start")
    return state(directory)


def start(arguments) -> dict:
    """Starts a cluster and waits until it can take jobs; leaves nothing behind if it cannot."""
    directory = arguments.dir
    if running(directory):
        raise Refused(USAGE, f"a cluster already runs in {directory}: stop it first")
    config.class_path()
    for folder in ("conf", "log", "tmp", "checkpoints"):
        try:
            os.makedirs(os.path.join(directory, folder), exist_ok=True)
        except OSError as error:
            raise Refused(CANNOT_CREATE, f"cannot create {error.filename}: {error.strerror}") from None
    chosen = dict(arguments.conf)
    for _ in range(PORT_ATTEMPTS):
        for log in glob.glob(os.path.join(directory, "log", "*")):
            os.remove(log)
        settings = {**config.defaults(directory, arguments.slots, *free_ports(2)), **chosen, CLUSTER_ID: uuid.uuid4().hex}
        write_plan(directory, settings, arguments)
        # No signal may fall between the supervisor's start and the try that stops it again. It inherits the blocked
        # signals, which suits it: it waits for them by itself.
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATION)
        supervisor = launch(directory)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATION)
            ready = wait_until_ready(directory, settings, supervisor, arguments)
        except BaseException:
            end(directory, supervisor)
            raise
        if ready:
            return state(directory)
        end(directory, supervisor)
        if given := [f"{port}={chosen[port]}" for port in PORTS if port in chosen]:
            raise Refused(UNAVAILABLE, f"a port is taken ({', '.join(given)}): free it, or do not give it by --conf")
    raise Refused(UNAVAILABLE, f"no free port found in {PORT_ATTEMPTS} attempts: see {directory}/log/jobmanager.log")


def free_ports(count: int) -> list:
    """Ports that nobody listens on now. Somebody may still take one first: see BIND_FAILURES."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def write_plan(directory: str, settings: dict, arguments) -> None:
    """Writes the configuration, and what the supervisor shall start with it."""
    config.write(directory, settings)
    jobmanager, taskmanager = config.commands(directory, settings)
    write_atomically(os.path.join(directory, "plan.json"), {
        "rest_url": f"http://{settings['rest.address']}:{settings['rest.port']}",
        "jobmanager": jobmanager,
        "taskmanager": taskmanager,
        "taskmanagers": arguments.taskmanagers,
        "restart_jobmanager": arguments.restart_jobmanager,
        "cpus_jm": arguments.cpus_jm,
        "cpus_tm": arguments.cpus_tm,
        "owner": identity(arguments.owner) if arguments.owner else None,
        "client_options": {key: value for key, value in settings.items() if key.startswith("env.java.opts.")},
    })


def launch(directory: str) -> subprocess.Popen:
    """Starts the supervisor in a session of its own, so that a terminal's Ctrl-C does not reach it."""
    with open(os.path.join(directory, "log", "supervisor.log"), "ab") as log:
        return subprocess.Popen([*SUPERVISOR, directory], env={**os.environ, "PYTHONPATH": SCRIPTS},
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def wait_until_ready(directory: str, settings: dict, supervisor: subprocess.Popen, arguments) -> bool:
    """Waits for all TaskManagers; False if a port was taken by somebody else meanwhile."""
    deadline = time.monotonic() + arguments.timeout
    while registered_taskmanagers(settings) < arguments.taskmanagers:
        ended = supervisor.poll() is not None
        if ended and any(text in last_lines(directory, "jobmanager.log", 400) for text in BIND_FAILURES):
            return False
        if ended or time.monotonic() >= deadline:
            for name in LOGS:
                if text := last_lines(directory, name, 12):
                    print(f"--- the end of {directory}/log/{name}\n{text}", file=sys.stderr, end="")
            what = "the JobManager ended" if ended else f"Flink was not up within {arguments.timeout} s"
            raise Refused(SOFTWARE if ended else UNAVAILABLE, f"{what}: its last words are above")
        time.sleep(0.05)
    return True


def registered_taskmanagers(settings: dict) -> int:
    """How many TaskManagers our JobManager knows; -1 while it does not answer, or another cluster does."""
    url = f"http://{settings['rest.address']}:{settings['rest.port']}"
    try:
        with NO_PROXY.open(f"{url}/overview", timeout=2) as answer:
            count = json.load(answer).get("taskmanagers", -1)
        with NO_PROXY.open(f"{url}/jobmanager/config", timeout=2) as answer:
            ours = {"key": CLUSTER_ID, "value": settings[CLUSTER_ID]} in json.load(answer)
    except (OSError, ValueError):
        return -1
    return count if ours else -1


def last_lines(directory: str, name: str, count: int) -> str:
    try:
        with open(os.path.join(directory, "log", name), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-count:])
    except FileNotFoundError:
        return ""


def stop(directory: str) -> None:
    """Stops the supervisor, which stops the rest; kills what does not end. No cluster: nothing to do."""
    processes = running(directory)
    if not processes:
        print(f"no cluster runs in {directory}")
    end_processes(processes)
    remove_state(directory)


def end(directory: str, supervisor: subprocess.Popen) -> None:
    """Stops what `launch` started, in whatever state it is."""
    if supervisor.poll() is None:
        supervisor.terminate()
        try:
            supervisor.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
    end_processes(running(directory))
    remove_state(directory)


def end_processes(processes: list) -> None:
    """SIGTERM to the first, the supervisor (or what is left of the cluster without it), then SIGKILL."""
    for process in processes[:1]:
        send(process, signal.SIGTERM)
    for process in wait_until_gone(processes, GRACE_S + 5 if processes else 0):
        send(process, signal.SIGKILL)
    wait_until_gone(processes, 5)


def remove_state(directory: str) -> None:
    try:
        os.remove(os.path.join(directory, "cluster.json"))
    except FileNotFoundError:
        pass
