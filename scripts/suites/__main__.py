"""python3 -m suites [NAME...]: see test.sh --help."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Callable

from demo import signals
from demo.console import Console
from demo.errors import DemoError, Interrupted
from demo.options import ROOT

from . import api, code, e2e, faults, publish, smoke
from .step import Step
from .tally import Tally


def _steps(steps: list[Step]) -> Callable[[Console], Tally]:
    return lambda console: sum((step.run(console) for step in steps), Tally())


SUITES: dict[str, Callable[[Console], Tally]] = {
    "rust": _steps(code.RUST),
    "java": _steps(code.JAVA),
    "python": _steps(code.PYTHON),
    "parity": _steps(code.PARITY),
    "e2e": e2e.run,
    "faults": _steps(faults.FAULTS),
    "smoke": smoke.run,
    "publish": publish.run,
    "api": api.run,
}


def main(argv: list[str]) -> int:
    """0 if all passed, 1 if something failed."""
    parser = argparse.ArgumentParser(prog="test.sh", description="Runs all tests, or the named suites. Logs go to target/test.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(SUITES)} (default: all)")
    chosen = parser.parse_args(argv).suites or list(SUITES)
    if unknown := [name for name in chosen if name not in SUITES]:
        print(f"test: no suite '{unknown[0]}'; there are {', '.join(SUITES)}", file=sys.stderr)
        return 64
    os.chdir(ROOT)
    console, total = Console(plain_every_s=30.0), Tally()
    try:
        with signals.raising():
            for name in chosen:
                console.step(name)
                tally = SUITES[name](console)
                console.step(f"{name}: {tally.passed} passed, {tally.failed} failed")
                total += tally
    except DemoError as error:
        print(f"test: {error}", file=sys.stderr)
        return error.code
    except Interrupted as interrupt:
        print(f"test: stopped by {interrupt.name}", file=sys.stderr)
        return interrupt.code
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
