"""One run from start to finish."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import make_text

from . import build, report, services, verdict
from .console import Console
from .errors import EX_CANTCREAT, DemoError
from .machine import Placement
from .options import Options
from .processes import Processes
from .watch import Watch


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind."""

    report: dict
    balance_text: str
    good: bool


def run(options: Options, console: Console) -> Outcome:
    """Builds what is missing, runs, checks, writes report.json and final.csv, and cleans up.

    Raises DemoError; the run's folder is then kept for its logs.
    """
    build.check_tools(options.build)
    if options.kill:
        options.kill.due_offset_ms(options.phases)
    folder = _folder(options)
    outcome = None
    try:
        with Processes(folder) as processes:
            if options.build:
                build.build(processes, console)
            build.check_built()
            outcome = _measured(options, console, processes, folder)
    finally:
        console.clear()
        if outcome and outcome.good and not options.keep:
            shutil.rmtree(folder)
        else:
            console.step(f"the run's folder with all logs: {folder}")
    return outcome


def _folder(options: Options) -> Path:
    folder = options.out / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
        # What an earlier run found is not what this one found.
        for name in ("report.json", "final.csv"):
            (options.out / name).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(Path(error.filename or folder), error) from error
    return folder


def _cannot_write(path: Path, error: OSError) -> DemoError:
    return DemoError(EX_CANTCREAT, f"cannot write {path}: {error.strerror}; give --out a folder that can be written")


def _measured(options: Options, console: Console, processes: Processes, folder: Path) -> Outcome:
    placement = Placement.of_this_machine()
    console.step(placement.describe())
    input_file = options.input or own_text(options)
    console.live("starting Lambda and S3 on loopback")
    cloud = services.LocalCloud.start(processes, placement, folder)
    console.live("starting Flink")
    cluster = services.Cluster.start(processes, placement, folder, cloud)
    console.live("starting the sidecar")
    sidecar = services.start_sidecar(processes, placement, folder, options, cluster, cloud)
    console.step(f"running: Flink {cluster.rest_url}, sidecar {sidecar}, Lambda {cloud.lambda_url}, S3 {cloud.s3_url}")
    with placement.out_of_the_way():
        console.live("submitting the job")
        job = cluster.submit(processes, options, input_file, folder, sidecar)
        console.step(f"job {job.id}: {options.profile.records:,} records in {options.phases.end_ms / 1_000:g} s from {input_file}")
        watch = Watch(options, processes, console, cluster, job, sidecar)
        watch.until_finished(folder / "samples.jsonl")
    console.step(f"the job has finished {(watch.finished_ms - job.due_start_ms) / 1_000:.1f} s after its first record was due")
    stats = cloud.stats()
    console.live("reconciling, and counting the truth")
    found = verdict.reach(processes, options, cloud, input_file, folder)
    latencies = verdict.latencies(processes, options, job, folder)
    made = report.make(options, placement, found, watch, latencies, stats, job, input_file)
    try:
        shutil.copyfile(folder / "final.csv", options.out / "final.csv")
        (options.out / "report.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(Path(error.filename or options.out), error) from error
    return Outcome(made, found.balance_text, found.good)


def own_text(options: Options) -> Path:
    """The demo's own input, written once, and whole or not at all."""
    path = options.out / "flood.txt"
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            make_text.main(["--out", str(unfinished)])
            unfinished.replace(path)
        except OSError as error:
            raise _cannot_write(path, error) from error
        finally:
            unfinished.unlink(missing_ok=True)
    return path
