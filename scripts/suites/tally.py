"""How many checks passed and failed, read from what the test tools print."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """Checks that passed and failed. A linter's verdict is one check."""

    passed: int = 0
    failed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.passed + other.passed, self.failed + other.failed)


def verdict(_output: str, exit_code: int) -> Tally:
    """A tool that only says yes or no, by its exit code."""
    return Tally(passed=1) if exit_code == 0 else Tally(failed=1)


def _counted(passed: int, failed: int, exit_code: int) -> Tally:
    """A tool that says no without having counted a failure has failed once, and so has one that counted nothing."""
    nothing = passed + failed == 0
    return Tally(passed, failed or int(exit_code != 0 or nothing))


def cargo(output: str, exit_code: int) -> Tally:
    """`cargo test`: one line of result for each test binary."""
    found = re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed;", output, re.MULTILINE)
    return _counted(sum(int(passed) for passed, _ in found), sum(int(failed) for _, failed in found), exit_code)


def maven(output: str, exit_code: int) -> Tally:
    """Surefire and Failsafe: the sum of each module, which alone names no class."""
    found = re.findall(r"^\[\w+\] Tests run: (\d+), Failures: (\d+), Errors: (\d+), Skipped: (\d+)\s*$", output, re.MULTILINE)
    total, failed, skipped = 0, 0, 0
    for run, failures, errors, left_out in found:
        total, failed, skipped = total + int(run), failed + int(failures) + int(errors), skipped + int(left_out)
    return _counted(total - failed - skipped, failed, exit_code)


def unittest(output: str, exit_code: int) -> Tally:
    """Python's unittest."""
    total = sum(map(int, re.findall(r"^Ran (\d+) tests? in", output, re.MULTILINE)))
    failures = "".join(re.findall(r"^FAILED \((.*)\)$", output, re.MULTILINE))
    failed = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", failures)))
    return _counted(max(0, total - failed), failed, exit_code)
