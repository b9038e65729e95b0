"""The command line of scripts/flink-cluster.sh."""

import argparse
import json
import os
import signal
import sys

from . import cluster, job
from .errors import CANNOT_CREATE, NO_INPUT, USAGE, Refused

DESCRIPTION = """\
A standalone Flink cluster on this machine, each process a JVM of its own, on loopback and on free ports.
DIR holds its conf/, log/, tmp/, checkpoints/ and cluster.json.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and exits with 64."""

    def error(self, message: str) -> None:
        raise Refused(USAGE, f"{message} (see {self.prog} --help)")


def cpu_list(text: str) -> list:
    """CPU numbers as taskset -c takes them: 0 or 0,2 or 0-3."""
    cpus = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            cpus.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a list of CPUs such as 0 or 0,2-3: {text!r}") from None
    absent = cpus - os.sched_getaffinity(0)
    if absent or not cpus:
        raise argparse.ArgumentTypeError(f"this process may not use these CPUs: {text!r}")
    return sorted(cpus)


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not a number from 1 on: {text!r}")
    return int(text)


def setting(text: str) -> tuple:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"not key=value: {text!r}")
    if key.strip() in cluster.PORTS and not (value.isdecimal() and 0 < int(value) < 65536):
        raise argparse.ArgumentTypeError(f"not a port from 1 to 65535: {text!r}")
    return key.strip(), value


def parser() -> argparse.ArgumentParser:
    whole = Parser(prog="flink-cluster.sh", description=DESCRIPTION, formatter_class=argparse.RawTextHelpFormatter)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--dir", required=True, type=os.path.abspath, help="the cluster's folder")
        return sub

    start = command("start", "start a cluster and wait until all its TaskManagers are registered")
    start.add_argument("--cpus-jm", type=cpu_list, metavar="LIST", 
                       help="pin the JobManager and the client to these CPUs")
    start.add_argument("--cpus-tm", type=cpu_list, metavar="LIST", help="pin each TaskManager to these CPUs")
    start.add_argument("--taskmanagers", type=positive, default=1, metavar="N", help="how many TaskManagers (1)")
    start.add_argument("--slots", type=positive, default=1, metavar="N", help="task slots of each TaskManager (1)")
    start.add_argument("--restart-jobmanager", action="store_true",
                       help="restart a JobManager that died; its jobs have to be submitted anew")
    start.add_argument("--conf", type=setting, action="append", default=[], metavar="KEY=VALUE",
                       help="a Flink option, over the defaults of flink_cluster/config.py; may be repeated")
    start.add_argument("--timeout", type=positive, default=60, metavar="SECONDS", help="give up after so long (60)")
    start.add_argument("--owner", type=positive, metavar="PID", help="stop the cluster when this process has ended")

    run = command("run", "submit a job; its id is the last line of the output")
    run.add_argument("-c", dest="main_class", metavar="CLASS", help="the main class (the jar's own)")
    run.add_argument("-D", dest="properties", type=setting, action="append", default=[], metavar="KEY=VALUE",
                     help="a Flink option for this job; may be repeated")
    run.add_argument("jar", metavar="JAR")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="the job's own arguments")

    command("status", "print cluster.json; exit code 69 if no cluster runs")
    command("stop", "stop the cluster, and exactly its own processes")
    return whole


def execute(arguments: argparse.Namespace) -> int:
    if arguments.command == "start":
        state = cluster.start(arguments)
        print(f"Flink is up: {state['rest_url']}")
        return 0
    if arguments.command == "run":
        if not os.access(arguments.jar, os.R_OK):
            raise Refused(NO_INPUT, f"cannot read the jar {arguments.jar}")
        return job.run(arguments.dir, cluster.require(arguments.dir), arguments)
    if arguments.command == "status":
        state = cluster.require(arguments.dir)
        print(json.dumps({key: state[key] for key in ("rest_url", "jobmanager_pid", "taskmanager_pids")}))
        return 0
    cluster.stop(arguments.dir)
    return 0


def interrupted(signal_number: int, _frame: object) -> None:
    """Turns a signal into an exception, so that what was begun is undone."""
    raise KeyboardInterrupt(signal_number)


def main() -> int:
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    try:
        return execute(parser().parse_args())
    except Refused as refusal:
        print(f"flink-cluster: {refusal}", file=sys.stderr)
        return refusal.code
    except KeyboardInterrupt as interrupt:
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except OSError as error:
        print(f"flink-cluster: {error}", file=sys.stderr)
        return CANNOT_CREATE


if __name__ == "__main__":
    sys.exit(main())
