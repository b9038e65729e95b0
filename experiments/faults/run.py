#!/usr/bin/env python3
"""Breaks a running Spillway as a seed says, and holds the result against the oracle. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(HERE)]

from demo import build, signals  # noqa: E402
from demo.errors import EX_USAGE, DemoError, Interrupted  # noqa: E402
from demo.processes import Processes  # noqa: E402
from demo.console import Console  # noqa: E402

from harness import scenarios, schedule, soak, standstill  # noqa: E402
from harness.conductor import Outcome, conduct  # noqa: E402
from harness.kinds import FAMILIES, KINDS  # noqa: E402
from harness.schedule import Schedule  # noqa: E402
from harness.world import World  # noqa: E402
import make_text  # noqa: E402

OUT = ROOT / "target" / "experiments" / "faults"
RESULTS = HERE / "results"
# One cluster runs them all; a cluster with ZooKeeper is another.
ALL = [*FAMILIES, *(name for name, scenario in scenarios.SCENARIOS.items() if not scenario.zookeeper)]


def seeds(text: str) -> list[int]:
    """1-20, or 3, or 1-3,7."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not seeds such as 7, 1-20 or 1-3,9: {text!r}") from None
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="run.py", description=__doc__)
    what = result.add_mutually_exclusive_group()
    what.add_argument("--seed", type=seeds, dest="seeds", metavar="N", help="a run of mixed faults")
    what.add_argument("--seeds", type=seeds, metavar="A-B", help="several; those that are in the results already are left out")
    what.add_argument("--soak", action="store_true", help="a spike every minute, and a look at memory and file handles")
    what.add_argument("--standstill", action="store_true", help="the cloud stops for minutes under a spike: memory, checkpoints, throughput")
    result.add_argument("--class", dest="classes", action="append", default=[], choices=[*FAMILIES, *scenarios.SCENARIOS, "all"], metavar="NAME",
                        help=f"faults of one family ({', '.join(FAMILIES)}) or one scenario ({', '.join(scenarios.SCENARIOS)}), or all, which leaves out "
                             "those with ZooKeeper; may be repeated")
    result.add_argument("--kind", dest="kinds", action="append", default=[], choices=[*KINDS, "all"], metavar="NAME",
                        help="one kind of fault alone, such as wire_late, or all of them one after the other; may be repeated")
    result.add_argument("--minutes", type=float, metavar="N", help="of the soak (default 20) or the stand-still (default 5)")
    result.add_argument("--results", type=Path, metavar="FILE", help="where a line for each run is added (default results/seeds.jsonl; classes and kinds: none)")
    result.add_argument("--again", action="store_true", help="run seeds that are in the results already, too")
    result.add_argument("--until", type=float, metavar="SECONDS", help="begin no run after so long")
    result.add_argument("--keep", action="store_true", help="keep the logs of good runs, too")
    result.add_argument("--no-build", dest="build", action="store_false", help="take what is built as it is")
    result.add_argument("--show", action="store_true", help="print the schedules and run nothing")
    return result


def schedules(arguments: argparse.Namespace) -> list[Schedule]:
    """What is to be run, in order."""
    if arguments.soak:
        return [soak.schedule(arguments.minutes or 20)]
    chosen = arguments.seeds or [1]
    if not arguments.classes and not arguments.kinds:
        return [schedule.mixed(seed) for seed in chosen]
    classes = ALL if "all" in arguments.classes else arguments.classes
    kinds = KINDS if "all" in arguments.kinds else arguments.kinds
    todo = [scenarios.SCENARIOS[name].schedule(seed) if name in scenarios.SCENARIOS else schedule.of_family(name, seed)
            for seed in chosen for name in classes]
    return todo + [schedule.of_kind(name, seed) for seed in chosen for name in kinds]


def done_already(results: Path) -> set[tuple[str, int]]:
    """Runs whose good result is on file, drawn by the same rules."""
    if not results.exists():
        return set()
    lines = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return {(line["of"], line["seed"]) for line in lines if line["good"] and line["schedules"] == schedule.VERSION}


def input_text() -> Path:
    """The text that is replayed, written once."""
    path = OUT / "flood.txt"
    if not path.exists() and make_text.main(["--out", str(path)]) != 0:
        raise DemoError(73, f"cannot write {path}")
    return path


def commit() -> str:
    """What is being tested; results that were added do not make it another."""
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    changed = git("status", "--porcelain", "--", ".", ":!experiments/faults/results")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


class Show:
    """Runs schedules in as few worlds as possible: a failed run's world is kept as it is, and the next gets a new one."""

    def __init__(self, arguments: argparse.Namespace, results: Path | None) -> None:
        self._arguments, self._results = arguments, results
        self._began = time.monotonic()
        self._input = input_text()
        self.outcomes: list[Outcome] = []

    def run(self, todo: list[Schedule]) -> None:
        """All of them, as far as the time goes."""
        left = list(todo)
        while left and self._time_is_left():
            folder = self._folder()
            good = True
            zookeeper = _needs_zookeeper(left[0])
            with World(folder, soak.FLINK_OPTIONS if self._arguments.soak else None, zookeeper=zookeeper) as world:
                while left and good and _needs_zookeeper(left[0]) == zookeeper and self._time_is_left():
                    good = self._one(world, left.pop(0))
            self._leave(folder, good)
        if left:
            print(f"-- no time for {len(left)} more: {', '.join(one.name for one in left[:8])}", flush=True)

    def stand_still(self) -> None:
        """The cloud does, for so many minutes."""
        folder = self._folder()
        with World(folder, standstill.FLINK_OPTIONS, taskmanagers=1) as world:
            outcome = standstill.run(world, self._arguments.minutes or 5, self._input, say)
            good = self._told(outcome)
        self._leave(folder, good)

    def _folder(self) -> Path:
        folder = OUT / f"world-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        folder.mkdir(parents=True)
        return folder

    def _leave(self, folder: Path, good: bool) -> None:
        if good and not self._arguments.keep:
            shutil.rmtree(folder)
        else:
            print(f"   everything of it: {folder}", flush=True)

    def _time_is_left(self) -> bool:
        return not self._arguments.until or time.monotonic() - self._began < self._arguments.until

    def _one(self, world: World, todo: Schedule) -> bool:
        tell(todo)
        if self._arguments.soak:
            with soak.Sampler(world) as sampler:
                outcome = conduct(world, todo, self._input, say, sampler.check)
        else:
            scenario = scenarios.SCENARIOS.get(todo.of)
            outcome = conduct(world, todo, self._input, say, scenario.check if scenario else None, bool(scenario and scenario.expect_replay))
        return self._told(outcome)

    def _told(self, outcome: Outcome) -> bool:
        self.outcomes.append(outcome)
        todo = outcome.schedule
        line = outcome.to_json()
        print(f"   {'GOOD' if outcome.good else 'WRONG'}: {line['faults_that_struck']} of {len(todo.faults)} faults struck; received "
              f"{line['received']}, kept {line['kept']}, diverted {line['diverted']}, bounced {line['bounced']}, orphans {line['orphans']}; "
              f"{outcome.submissions} submissions, {outcome.flink_restarts} restarts, {outcome.checkpoints_completed} checkpoints and "
              f"{outcome.checkpoints_failed} that failed; {outcome.took_s:.0f} s"
              + (f"; {json.dumps(outcome.measured)}" if outcome.measured else ""), flush=True)
        for what in outcome.wrong:
            print(f"   WRONG {what}", flush=True)
        if not outcome.good:
            print(f"   replay it: experiments/faults/run.py {_arguments_of(todo)}")
        if self._results:
            with open(self._results, "a", encoding="utf-8") as file:
                file.write(json.dumps({"schedules": schedule.VERSION, "commit": commit(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **line}) + "\n")
        return outcome.good


def say(text: str) -> None:
    """What happens in a run."""
    print(f"   {text}", flush=True)


def _needs_zookeeper(todo: Schedule) -> bool:
    return todo.of in scenarios.SCENARIOS and scenarios.SCENARIOS[todo.of].zookeeper


def _arguments_of(todo: Schedule) -> str:
    if todo.of == "standstill":
        return f"--standstill --minutes {todo.seed / 60:g}"
    if todo.of == "soak":
        return f"--soak --minutes {todo.seed}"
    if todo.of == schedule.MIXED:
        return f"--seed {todo.seed} --again"
    kind = next((f"--kind {name}" for name in KINDS if schedule.alone(name) == todo.of), f"--class {todo.of}")
    return f"{kind} --seed {todo.seed}"


def tell(todo: Schedule) -> None:
    """Prints a schedule."""
    setup = todo.setup
    print(f"== {todo.name}: {setup.profile}, parallelism {setup.parallelism}, mode {setup.mode}, checkpoints every {setup.checkpoint_ms} ms"
          f"{' in S3' if setup.checkpoints_in_s3 else ''}, batches of {setup.batch_records} records, {setup.batch_linger_ms} ms, "
          f"deadline {setup.batch_deadline_ms} ms", flush=True)
    for fault in todo.faults:
        print(f"   {fault.describe()}", flush=True)


def main(argv: list[str]) -> int:
    """0 if all is well, 1 if something was lost, twice or stuck, 64-78 if nothing could be run."""
    arguments = parser().parse_args(argv)
    os.chdir(ROOT)
    try:
        with signals.raising():
            todo = [] if arguments.standstill else schedules(arguments)
            if arguments.show:
                for one in todo:
                    tell(one)
                return 0
            OUT.mkdir(parents=True, exist_ok=True)
            if arguments.build:
                with Processes(OUT) as processes:
                    build.build(processes, Console())
            build.check_built()
            own = None if arguments.classes or arguments.kinds else RESULTS / ("soak.jsonl" if arguments.soak else "standstill.jsonl" if arguments.standstill else "seeds.jsonl")
            results = arguments.results or own
            if results and not arguments.again and not arguments.soak:
                done = done_already(results)
                todo = [one for one in todo if (one.of, one.seed) not in done]
            show = Show(arguments, results)
            if arguments.standstill:
                show.stand_still()
            else:
                show.run(todo)
    except DemoError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return error.code
    except Interrupted as interrupt:
        return interrupt.code
    bad = [outcome.schedule.name for outcome in show.outcomes if not outcome.good]
    print(f"{len(show.outcomes) - len(bad)} good, {len(bad)} wrong{': ' + ', '.join(bad) if bad else ''}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
