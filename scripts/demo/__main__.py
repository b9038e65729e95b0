"""python3 -m demo: see demo.sh --help."""

from __future__ import annotations

import sys

from . import options, rest, run, screen, signals
from .console import Console
from .errors import EX_IOERR, EX_UNAVAILABLE, DemoError, Interrupted


def main(argv: list[str]) -> int:
    """0 if the result is right, 1 if it is not, 64-78 if there could be none, 128 + n on signal n."""
    try:
        with signals.raising():
            chosen = options.parse(argv)
            outcome = run.run(chosen, Console())
            print(screen.render(outcome.report))
            if not outcome.good:
                print(outcome.balance_text)
            print(f"  Files     {chosen.out / 'report.json'}\n            {chosen.out / 'final.csv'}\n")
            return 0 if outcome.good else 1
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.code
    except rest.Unreachable as error:
        print(f"demo: no answer from {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    except OSError as error:
        print(f"demo: reading or writing failed: {error}", file=sys.stderr)
        return EX_IOERR
    except Interrupted as interrupt:
        print(f"demo: stopped by {interrupt.name}; everything it started has ended", file=sys.stderr)
        return interrupt.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
