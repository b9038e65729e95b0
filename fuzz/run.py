#!/usr/bin/env python3
"""Fuzzes the targets in turns until each has had its processor time: run.py [--minutes M] [TARGET...]. See README.md.

Goes on where it was stopped: results/totals.txt says what each target has had, and what counts is what it had since its last
finding. A target with a finding gets no more turns until the next call.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOTALS = HERE / "results" / "totals.txt"
BUILT = HERE / "target" / "x86_64-unknown-linux-gnu" / "release"
# Where the corpora grow; what is worth keeping of it comes back by --keep.
GROWN = HERE / "target" / "corpus"
_RUNS = re.compile(r"^#(\d+)\s", re.MULTILINE)
# A run may not take so much memory (a page of Parquet may be 2 GiB), nor so long. It runs at idle priority, so what is slow
# need not be: hence minutes.
_MOST_MB, _HANGS_S = 4096, 300
# libFuzzer's own exit codes: to its end, interrupted.
_NO_FINDING = (0, 72)


def targets() -> list[str]:
    return sorted(path.stem for path in (HERE / "fuzz_targets").glob("*.rs"))


def spent(target: str) -> float:
    """Processor seconds that a target has had since its last finding."""
    turns = re.findall(rf"^{target} rc=(\d+) cpu=([\d.]+) ([\d.]+) .* \S+Z$", TOTALS.read_text(encoding="utf-8"), re.MULTILINE)
    found = max((index for index, (code, _, _) in enumerate(turns) if int(code) not in _NO_FINDING), default=-1)
    return sum(float(user) + float(system) for _, user, system in turns[found + 1 :])


def turn(target: str, seconds: int) -> tuple[int, float, float, str]:
    """One turn: exit code, user and system seconds, runs."""
    grown, log = GROWN / target, GROWN / f"{target}.log"
    findings = HERE / "findings" / target
    grown.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    command = [str(BUILT / target), str(grown), str(HERE / "corpus" / target), f"-artifact_prefix={findings}/", f"-max_total_time={seconds}",
               f"-rss_limit_mb={_MOST_MB}", f"-timeout={_HANGS_S}", f"-report_slow_units={_HANGS_S}"]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, preexec_fn=_idle)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if not any(findings.iterdir()):
        findings.rmdir()
    runs = _RUNS.findall(log.read_text(encoding="utf-8", errors="replace"))
    return process.returncode, usage.ru_utime, usage.ru_stime, runs[-1] if runs else "0"


def _idle() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def keep(target: str) -> None:
    """Takes into the corpus what reaches something new."""
    if (GROWN / target).is_dir():
        subprocess.run([str(BUILT / target), "-set_cover_merge=1", str(HERE / "corpus" / target), str(GROWN / target)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", nargs="*", choices=[[], *targets()], metavar="TARGET", help="which (default: all)")
    parser.add_argument("--minutes", type=float, default=20, metavar="M", help="processor minutes for each (default 20)")
    parser.add_argument("--turn", type=int, default=60, metavar="SECONDS", help="of wall clock, of a turn (default 60)")
    parser.add_argument("--keep", action="store_true", help="fuzz nothing; take what was found into corpus/")
    arguments = parser.parse_args()
    chosen = arguments.targets or targets()
    missing = [target for target in chosen if not (BUILT / target).exists()]
    if missing:
        parser.error(f"not built: {', '.join(missing)}; RUSTC_BOOTSTRAP=1 cargo fuzz build -s none --features sidecar")
    if arguments.keep:
        for target in chosen:
            keep(target)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    while chosen:
        chosen = [target for target in chosen if spent(target) < arguments.minutes * 60]
        for target in list(chosen):
            code, user, system, runs = turn(target, arguments.turn)
            with TOTALS.open("a", encoding="utf-8") as out:
                out.write(f"{target} rc={code} cpu={user:.3f} {system:.3f} runs=#{runs} {time.strftime('%FT%TZ', time.gmtime())}\n")
            if code not in _NO_FINDING:
                print(f"{target}: {GROWN / target}.log, findings/{target}", file=sys.stderr)
                chosen.remove(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
