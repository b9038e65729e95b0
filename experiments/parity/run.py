#!/usr/bin/env python3
"""Gives the Java and the Rust workload the same cases, and says where they differ. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from demo import build  # noqa: E402
from demo.console import Console  # noqa: E402
from demo.errors import EX_UNAVAILABLE, DemoError  # noqa: E402
from demo.processes import Processes  # noqa: E402

OUT = ROOT / "target" / "experiments" / "parity"
PARITY = ROOT / "target" / "release" / "examples" / "parity"
JOBS = ROOT / "flink-job" / "jobs"
SIDE = "io.spillway.jobs.wordcount.ParitySide"
# Real texts, where the project is built beside them. The generated one of the demo is always there.
REAL_TEXTS = ("shakespeare.txt", "apache_access.log")


def texts() -> list[Path]:
    """What is mutated: the demo's own text, and real ones if they are here."""
    OUT.mkdir(parents=True, exist_ok=True)
    generated = OUT / "text.txt"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "make_text.py"), "--lines", "5000", "--out", str(generated)], check=True)
    real = (ROOT / ".." / "shared" / "data" / name for name in REAL_TEXTS)
    return [generated, *(path.resolve() for path in real if path.exists())]


def java_side() -> list[str]:
    """The command of the Java side. Raises DemoError if it is not built."""
    compiled = JOBS / "target" / "test-classes"
    if not (compiled / (SIDE.replace(".", "/") + ".class")).exists():
        raise DemoError(EX_UNAVAILABLE, f"{SIDE} is not compiled: mvn -f flink-job package -DskipTests")
    path = [compiled, JOBS / "target" / "classes", build.CLUSTER_LIB / "*"]
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", os.pathsep.join(map(str, path)), SIDE]


def prepare(console: Console) -> None:
    """Builds both sides, if something changed."""
    with Processes(OUT) as processes:
        console.live("building")
        processes.run("build", ["cargo", "build", "--release", "--color", "never", "-p", "spillway-core", "--example", "parity"])
        source = JOBS / "src" / "test" / "java" / (SIDE.replace(".", "/") + ".java")
        compiled = JOBS / "target" / "test-classes" / (SIDE.replace(".", "/") + ".class")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime or not build.CLUSTER_LIB.exists():
            processes.run("build-java", ["mvn", "-B", "-ntp", "-f", str(ROOT / "flink-job"), "package", "-DskipTests"])


def compare(cases: int, seed: int) -> dict:
    """What the comparison found. Raises DemoError if a side failed."""
    command = [str(PARITY), str(cases), str(seed), *map(str, texts()), "--", *java_side()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise DemoError(70, f"the comparison failed with exit code {done.returncode}")
    return json.loads(done.stdout)


def main(argv: list[str]) -> int:
    """0 if both sides say the same of every case, 1 if not."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000_000, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed gives the same cases (default %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep what was found in results/")
    arguments = parser.parse_args(argv)
    os.chdir(ROOT)
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        prepare(Console())
        found = compare(arguments.cases, arguments.seed)
    except DemoError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return error.code
    for difference in found["differences"]:
        print(json.dumps(difference, indent=1, ensure_ascii=False))
    print(f"{found['cases']} cases, {found['bytes']} bytes, {found['rows']} rows, seed {found['seed']}: "
          f"{len(found['differences'])} differences in {found['seconds']} s")
    if arguments.keep:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
        command = " ".join(["experiments/parity/run.py", *argv])
        kept = {"command": command, "commit": commit, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "texts": [path.name for path in texts()]} | found
        (HERE / "results" / f"seed-{arguments.seed}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 1 if found["differences"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
