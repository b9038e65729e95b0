"""The demo's command line."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import replay_profile

from .errors import EX_DATAERR, EX_NOINPUT, EX_USAGE, DemoError
from .phases import Phases

ROOT = Path(__file__).parents[2]
DEFAULT_PROFILE = "30k:12s,740k:20s,30k:8s"


@dataclass(frozen=True)
class Kill:
    """kill -9 of the TaskManager, `after_ms` past the start of the run or of the spike."""

    origin: str
    after_ms: int

    def due_offset_ms(self, phases: Phases) -> int:
        """When, in milliseconds since the first record is due. Raises DemoError without a spike."""
        if self.origin == "start":
            return self.after_ms
        if phases.spike_start_ms is None:
            raise DemoError(EX_USAGE, "--kill taskmanager@spike+… needs a profile with a spike (a rate of at least twice the first)")
        return phases.spike_start_ms + self.after_ms


@dataclass(frozen=True)
class Options:
    """What to run."""

    profile_spec: str
    profile: replay_profile.Profile
    input: Path | None = None
    burst: str = "on"
    workload: str = "wordcount"
    keep: bool = False
    build: bool = True
    kill: Kill | None = None
    out: Path = ROOT / "target" / "demo"
    job_options: tuple[str, ...] = ()
    sidecar_environment: dict[str, str] = field(default_factory=dict)

    @property
    def phases(self) -> Phases:
        """The profile's baseline, spike and after."""
        return Phases.of(self.profile)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise DemoError(EX_USAGE, f"{message}; see --help")


def parse(argv: list[str]) -> Options:
    """Read and check the command line before anything is started. Raises DemoError."""
    parser = _Parser(
        prog="demo.sh",
        description="Runs a real Flink cluster, the sidecar and the burst function on this machine, lets a spike "
        "arrive, and proves that no record was lost or counted twice.",
        epilog="Exit codes: 0 the result equals the oracle's and every window balances; 1 it does not; "
        "64-78 there is no result, for bad input or a fault of the machine (sysexits); 130 Ctrl-C.",
    )
    parser.add_argument("--input", metavar="FILE", help="text to replay (default: a text of our own making)")
    parser.add_argument("--profile", metavar="SPEC", help="records/s over time: RATE:DURATION,... or csv:PATH[,scale=S][,speedup=U] "
                        f"(default {DEFAULT_PROFILE})")
    parser.add_argument("--burst", choices=["on", "off", "all"], default="on", help="on: divert what the local lane cannot take; "
                        "off: divert nothing; all: divert every record (default on)")
    parser.add_argument("--workload", choices=["wordcount"], default="wordcount", help="what is computed (default wordcount)")
    parser.add_argument("--kill", metavar="taskmanager@ORIGIN+TIME", help="kill -9 the TaskManager in mid-run, for example "
                        "taskmanager@spike+5s or taskmanager@start+8s")
    parser.add_argument("--out", metavar="DIR", type=Path, default=ROOT / "target" / "demo", help="where report.json and final.csv go "
                        "(default target/demo)")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder: logs, S3 objects, ledger")
    parser.add_argument("--no-build", dest="build", action="store_false", help="take what is built as it is")
    arguments = parser.parse_args(argv)
    spec = _absolute(arguments.profile or DEFAULT_PROFILE)
    return Options(
        profile_spec=spec,
        profile=_profile(spec),
        input=_input(arguments.input),
        burst=arguments.burst,
        workload=arguments.workload,
        keep=arguments.keep,
        build=arguments.build,
        kill=_kill(arguments.kill),
        out=arguments.out.resolve(),
    )


def _input(name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name).resolve()
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise DemoError(EX_DATAERR, f"the input {name} is empty; give --input a file with at least one line")
    except OSError as error:
        raise DemoError(EX_NOINPUT, f"cannot read the input {name}: {error.strerror}; give --input a readable text file") from error
    return path


def _profile(spec: str) -> replay_profile.Profile:
    try:
        return replay_profile.parse(spec)
    except replay_profile.ProfileError as error:
        raise DemoError(EX_USAGE, str(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DemoError(EX_NOINPUT, f"cannot read the rates of {spec}: {error}") from error


def _absolute(spec: str) -> str:
    """The profile with its CSV's full path: the job reads it from another folder."""
    if not spec.startswith("csv:"):
        return spec
    path, comma, rest = spec[len("csv:"):].partition(",")
    return f"csv:{os.path.abspath(path)}{comma}{rest}"


def _kill(text: str | None) -> Kill | None:
    if text is None:
        return None
    match = re.fullmatch(r"taskmanager@(start|spike)\+(\d+)(ms|s)", text, re.ASCII)
    if not match:
        raise DemoError(EX_USAGE, f"--kill '{text}' is not taskmanager@spike+TIME or taskmanager@start+TIME, such as taskmanager@spike+5s")
    return Kill(match[1], int(match[2]) * (1 if match[3] == "ms" else 1_000))
