"""Builds what is missing or out of date, and shows how far it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from .console import Console
from .errors import EX_SOFTWARE, EX_UNAVAILABLE, DemoError
from .options import ROOT
from .processes import Processes

RELEASE = ROOT / "target" / "release"
BINARIES = {name: RELEASE / name for name in ("spillway", "spillway-burst", "spillway-reconcile", "spillway-local-cloud")}
JAR = ROOT / "flink-job" / "jobs" / "target" / "spillway-jobs.jar"
CLUSTER_LIB = ROOT / "flink-job" / "cluster" / "target" / "lib"
_MIN_JAVA = 17


def check_tools(build: bool) -> None:
    """Everything that must be installed, named at once. Raises DemoError."""
    missing = []
    if not shutil.which("java"):
        missing.append("a JDK 17 (Debian: openjdk-17-jdk-headless)")
    elif (version := _java_version()) < _MIN_JAVA:
        missing.append(f"a JDK from 17 on, not {version} (Debian: openjdk-17-jdk-headless; or set JAVA_HOME and PATH)")
    if build and not shutil.which("mvn"):
        missing.append("Maven (Debian: maven)")
    if build and not shutil.which("cargo"):
        missing.append("a Rust toolchain (https://rustup.rs)")
    if not shutil.which("taskset"):
        missing.append("taskset (Debian: util-linux)")
    if missing:
        raise DemoError(EX_UNAVAILABLE, "please install " + ", ".join(missing))


def _java_version() -> int:
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else 0


def build(processes: Processes, console: Console) -> None:
    """Brings the binaries and jars up to date. Raises DemoError with the compiler's own words."""
    binaries = [part for name in BINARIES for part in ("--bin", name)]
    _follow(processes, console, "Rust", ["cargo", "build", "--release", *binaries, "--color", "never"], re.compile(r"\s*Compiling (\S+)"))
    if not _fresh():
        _follow(processes, console, "Flink job", ["mvn", "-B", "-ntp", "-f", str(ROOT / "flink-job"), "package", "-DskipTests"],
                re.compile(r"\[INFO\] (?:Building|---) (.+)"))


def check_built() -> None:
    """Raises DemoError if something is missing that a build would have made."""
    missing = [path for path in (*BINARIES.values(), JAR, CLUSTER_LIB) if not path.exists()]
    if missing:
        raise DemoError(EX_UNAVAILABLE, f"{missing[0]} is missing; leave out --no-build and it is built")


def _fresh() -> bool:
    """Whether the job is newer than everything that it is made of. Maven would take 10 s to say so."""
    if not JAR.exists() or not any(CLUSTER_LIB.glob("*.jar")):
        return False
    built = JAR.stat().st_mtime
    return all(source.stat().st_mtime < built for source in _sources(ROOT / "flink-job"))


def _sources(folder: Path) -> list[Path]:
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "target"]
        found += [Path(path, name) for name in files if "/test/" not in path]
    return found


def _follow(processes: Processes, console: Console, what: str, command: list[str], step: re.Pattern) -> None:
    name = "build-" + what.split()[0].lower()
    began, count = time.monotonic(), 0
    process = processes.start(name, command)
    seen = ""
    with open(processes.log(name), encoding="utf-8", errors="replace") as log:
        while True:
            ended = process.poll() is not None
            for line in log.read().splitlines():
                if match := step.match(line):
                    count, seen = count + 1, match[1]
            console.live(f"building {what}: {count} steps, {time.monotonic() - began:.0f} s, {seen}")
            if ended:
                break
            time.sleep(0.2)
    processes.stop(name)
    if process.returncode != 0:
        console.clear()
        raise DemoError(EX_SOFTWARE, f"building {what} failed: {_first_error(processes.log(name))} (log: {processes.log(name)})")
    if count:
        console.step(f"built {what} in {time.monotonic() - began:.0f} s")


def _first_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if re.match(r"error|\[ERROR\]", line)), lines[-1] if lines else "it said nothing")
