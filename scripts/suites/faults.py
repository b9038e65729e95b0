"""One run of each class of faults with the real processes: nothing lost, nothing twice, nothing stuck."""

from __future__ import annotations

import re
import sys

from demo.options import ROOT

from .step import Step
from .tally import Tally


def count(output: str, exit_code: int) -> Tally:
    """The harness ends with "N good, M wrong"."""
    found = re.findall(r"^(\d+) good, (\d+) wrong", output, re.MULTILINE)
    if not found:
        return Tally(failed=1)
    good, wrong = map(int, found[-1])
    # A run that there was no time for, or that broke off, is none that passed.
    return Tally(good, wrong or int(exit_code != 0 or good == 0))


FAULTS = [Step("fault classes", [sys.executable, "-u", str(ROOT / "experiments" / "faults" / "run.py"), "--class", "all"], count)]
