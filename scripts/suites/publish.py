"""The sidecar and CloudWatch, played by moto: what arrives there is what the valve reported, what is seen is what was published."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from pathlib import Path

from demo import build
from demo.console import Console
from demo.errors import DemoError
from demo.processes import Processes, wait_until

from . import moto, sensing
from .step import LOGS, Step
from .tally import Tally

_JOB, _VALVE, _FUNCTION = "wordcount", "valve", "spillway-burst"
_PROGRAM = """
import boto3, datetime, json
cloudwatch = boto3.client("cloudwatch")
found = []
for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="Spillway"):
    for metric in page["Metrics"]:
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
        points = cloudwatch.get_metric_statistics(
            Namespace="Spillway", MetricName=metric["MetricName"], Dimensions=metric["Dimensions"],
            StartTime=end - datetime.timedelta(hours=1), EndTime=end, Period=3600, Statistics=["Sum", "SampleCount", "Maximum"],
        )["Datapoints"]
        found.append({
            "name": metric["MetricName"],
            "dimensions": {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]},
            "sum": sum(point["Sum"] for point in points),
            "units": sorted({point["Unit"] for point in points if "Unit" in point}),
        })
print(json.dumps(found))
"""


def run(console: Console) -> Tally:
    """Starts moto and sidecars, and compares what they say with what they were told."""
    total = moto.install(console)
    total += Step("build the sidecar", ["cargo", "build", "--release", "--color", "never", "--bin", "spillway"]).run(console)
    if total.failed:
        return total
    try:
        with tempfile.TemporaryDirectory(prefix="spillway-publish-") as folder, Processes(LOGS) as processes:
            cloudwatch = moto.start(processes)
            for name, check, good in (
                ("metrics to CloudWatch", _check, "sums, units and dimensions are what the valve reported"),
                ("metrics from CloudWatch", sensing.check, "what was published is seen; who cannot see says why, once"),
            ):
                try:
                    check(processes, Path(folder), cloudwatch)
                    console.step(f"  {name}: {good}")
                    total += Tally(passed=1)
                except DemoError as error:
                    console.step(f"  {name}: FAILED {error}")
                    total += Tally(failed=1)
    except DemoError as error:
        console.step(f"  moto: FAILED {error}")
        total += Tally(failed=1)
    return total


def _check(processes: Processes, folder: Path, cloudwatch: str) -> None:
    ready = folder / "sidecar.json"
    sidecar = processes.start("publish-sidecar", [
        str(build.BINARIES["spillway"]), "run", "--listen", "127.0.0.1:0", "--ready-file", str(ready),
        # Nobody is there, which is no reason not to start.
        "--lambda-endpoint-url", "http://127.0.0.1:9", "--lambda-function", _FUNCTION,
        "--publish-cloudwatch", "true", "--publish-endpoint-url", cloudwatch, "--publish-interval", "1s",
    ], **moto.CREDENTIALS)
    url = processes.ready("publish-sidecar", sidecar, ready, 20)["url"]
    # The first sample is taken at once; what a subtask has counted that was there before is nobody's growth.
    if not wait_until(lambda: _sent(url) > 0, 20):
        raise DemoError(70, f"nothing was published: {processes.last_words('publish-sidecar')}")
    for sequence, received in enumerate((1_000, 2_500)):
        _report(url, sequence, received)
    # What is left is published before the sidecar ends.
    processes.stop("publish-sidecar")
    found = {metric["name"]: metric for metric in moto.ask(processes, cloudwatch, _PROGRAM)}
    _expect(found, "ReceivedRecords", {"job": _JOB, "valve": _VALVE}, 2_500, ["Count"])
    _expect(found, "DivertedRecords", {"job": _JOB, "valve": _VALVE}, 500, ["Count"])
    _expect(found, "Invocations", {"function": _FUNCTION}, 0, ["Count"])
    if "ConcurrencyLimit" not in found or found["ConcurrencyLimit"]["sum"] <= 0:
        raise DemoError(70, f"ConcurrencyLimit is missing: {sorted(found)}")


def _expect(found: dict, name: str, dimensions: dict, total: float, units: list[str]) -> None:
    metric = found.get(name)
    if metric is None:
        raise DemoError(70, f"{name} is missing: {sorted(found)}")
    if (metric["dimensions"], metric["sum"], metric["units"]) != (dimensions, total, units):
        raise DemoError(70, f"{name} should be {dimensions} {total} {units}: {json.dumps(metric)}")


def _sent(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("spillway_publish_metrics_total"))


def _report(url: str, sequence: int, received: int) -> None:
    report = {
        "attempt": "9f3a6c1e2b7d4f08", "sequence": sequence, "parallelism": 1, "workload": "wordcount", "window_size_ms": 1000,
        "time_ms": 1_767_225_600_000 + 200 * sequence, "received": received, "kept": received - 500, "diverted": 500,
        "bounced": 0, "late": 0, "unsettled": 0, "in_flight_batches": 0, "settled_batches": 1, "bounced_batches": 0, "retries": 0,
        "local_unavailable_ms": 0, "watermark_ms": None, "first_diverted_ms": None, "last_diverted_ms": None, "latency": {},
    }
    request = urllib.request.Request(
        f"{url}/v1/jobs/{_JOB}/valves/{_VALVE}/0", json.dumps(report).encode(), {"Content-Type": "application/json"}, method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=5):
            pass
    except OSError as error:
        raise DemoError(70, f"the report was not taken: {error}") from error
