"""The suites of the three languages: format, lints, tests."""

from __future__ import annotations

import sys

from demo.options import ROOT

from . import tally
from .step import Step

RUST = [
    Step("cargo fmt", ["cargo", "fmt", "--all", "--check"]),
    Step("cargo clippy", ["cargo", "clippy", "--release", "--workspace", "--all-targets", "--color", "never", "--", "-D", "warnings"]),
    Step("cargo test", ["cargo", "test", "--release", "--workspace", "--color", "never", "--no-fail-fast"], tally.cargo),
]

# `verify` also checks the format (Spotless) and fails on javac's warnings.
JAVA = [Step("mvn verify", ["mvn", "-B", "-ntp", "-f", "flink-job", "verify"], tally.maven)]

PYTHON = [
    Step(
        "python unittest",
        [sys.executable, "-m", "unittest", "discover", "-s", "scripts/tests", "-t", "scripts"],
        tally.unittest,
        {"PYTHONPATH": str(ROOT / "scripts")},
    ),
]

# A share of the differential fuzz test: some ten seconds. The long run is experiments/parity.
PARITY = [Step("parity", [sys.executable, "experiments/parity/run.py", "--cases", "1000000"])]
