"""Ends the processes of a run whose demo was killed without a chance to do it.

Waits on standard input, which the demo holds open for as long as it lives, and then sweeps.
"""

from __future__ import annotations

import signal
import sys

import marks

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    sys.exit(1 if marks.sweep(sys.argv[1]) else 0)
