"""The sidecar watches an application through CloudWatch, played by moto: it senses what was published, and nothing else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from demo import build
from demo.errors import EX_SOFTWARE, DemoError
from demo.processes import Processes, wait_until

from . import moto

_NAMESPACE = "AWS/KinesisAnalytics"
_NOBODY = "http://127.0.0.1:9"
_ASKED_FOR = {"busyTimeMsPerSecond", "backPressuredTimeMsPerSecond", "cpuUtilization", "containerCPUUtilization", "records_lag_max"}
# As many as one GetMetricData takes.
_MAX_QUERIES = 500
_SUBTASKS = 600
_LOOK_TIMEOUT_S = 30.0

# Publishes the last whole minute as the service does (docs.aws.amazon.com/managed-flink, "Metrics and dimensions"): a sample for
# each TaskManager or subtask; tasks' metrics with the dimension Task from level TASK on, operators' with Operator.
_PROGRAM = """
import boto3, datetime
cloudwatch = boto3.client("cloudwatch")
minute = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0) - datetime.timedelta(minutes=1)

def samples(metric, values, application, ago=0, **dimensions):
    time = minute - datetime.timedelta(minutes=ago)
    of = [{"Name": name, "Value": value} for name, value in {"Application": application, **dimensions}.items()]
    return [
        {"MetricName": metric, "Dimensions": of, "Timestamp": time + datetime.timedelta(seconds=n % 60), "Value": value}
        for n, value in enumerate(values)
    ]

valve, window = "Source: replay -> valve", "window -> sink"
published = [
    *samples("cpuUtilization", [41.0, 62.5], "words"),
    *samples("containerCPUUtilization", [99.0], "words"),
    *samples("numRecordsInPerSecond", [5e5], "words"),
    *samples("millisBehindLatest", [9e5], "words", Id="input", Flow="Input"),
    *samples("busyTimeMsPerSecond", [1000.0], "words", Task=valve),
    *samples("busyTimeMsPerSecond", [640.0, 700.0], "words", Task=window),
    *samples("backPressuredTimeMsPerSecond", [350.0], "words", Task=valve),
    *samples("backPressuredTimeMsPerSecond", [0.0], "words", Task=window),
    *samples("numRecordsOutPerSecond", [5e5], "words", Operator="valve"),
    *samples("records_lag_max", [1234.0, 17.0], "words", Operator="Source: replay"),
    # Until it was updated, an hour ago, the valve was in another task.
    *samples("backPressuredTimeMsPerSecond", [900.0], "words", ago=60, Task="Source: kafka -> valve"),
    *samples("busyTimeMsPerSecond", [950.0], "words", ago=60, Task="old window"),
    # Another application is no business of ours.
    *samples("busyTimeMsPerSecond", [999.0], "other", Task=window),
    *samples("containerCPUUtilization", [30.0], "quiet"),
    *samples("numRecordsInPerSecond", [5e5], "quiet"),
    *samples("cpuUtilization", [50.0], "huge"),
]
# In the order of their names, the busiest of those that are watched is the last.
for n, subtask in enumerate(sorted(map(str, range(SUBTASKS)))):
    published += samples("busyTimeMsPerSecond", [n + 1.0], "huge", Task="window", Parallelism=subtask)
for start in range(0, len(published), 1000):
    cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=published[start:start + 1000])
print("{}")
"""


@dataclass(frozen=True)
class _Watcher:
    """A sidecar that watches an application, and how its environment differs."""

    name: str
    application: str = "words"
    endpoint_url: str = ""
    environment: dict[str, str] | None = None
    without: tuple[str, ...] = ()


def check(processes: Processes, folder: Path, cloudwatch: str) -> None:
    """Raises DemoError if it does not."""
    moto.ask(processes, cloudwatch, f"NAMESPACE, SUBTASKS = {_NAMESPACE!r}, {_SUBTASKS}\n{_PROGRAM}")
    nowhere = {"AWS_CONFIG_FILE": str(folder / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none")}
    watchers = [
        _Watcher("words"),
        _Watcher("quiet", application="quiet"),
        _Watcher("huge", application="huge"),
        _Watcher("unreachable", endpoint_url=_NOBODY),
        _Watcher("no-region", environment=nowhere, without=("AWS_REGION", "AWS_DEFAULT_REGION")),
        _Watcher("no-credentials", environment=nowhere, without=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    ]
    urls = {watcher.name: _start(processes, folder, cloudwatch, watcher) for watcher in watchers}
    _sees(urls["words"], "words", {
        "valve_back_pressured": 0.35, "downstream_busy": 0.7, "worker_cpu": 0.625, "pending_records": 1234, "bottleneck": "window -> sink",
    })
    # What is not published is not known, which is not zero.
    _sees(urls["quiet"], "quiet", {
        "valve_back_pressured": None, "downstream_busy": None, "worker_cpu": 0.3, "pending_records": None, "bottleneck": None,
    })
    # Its processors and 499 subtasks, the last of which come with the last page.
    _sees(urls["huge"], "huge", {"worker_cpu": 0.5, "downstream_busy": 0.499})
    _says(processes, "quiet", "metrics level to TASK")
    _says(processes, "huge", f"only {_MAX_QUERIES} are watched")
    _is_blind(processes, urls, "unreachable", "Connection refused", "check the network")
    _is_blind(processes, urls, "no-region", "missing signing region", "cloudwatch.region")
    _is_blind(processes, urls, "no-credentials", "no providers in chain provided credentials", "the AWS credentials")
    _asked_within_limits(cloudwatch)
    # From now on moto lets in only whom it knows.
    _post(f"{cloudwatch}/moto-api/reset-auth", b"0")
    stranger = _Watcher("stranger", environment={"AWS_ACCESS_KEY_ID": "AKIASTRANGER"})
    urls["stranger"] = _start(processes, folder, cloudwatch, stranger)
    _is_blind(processes, urls, "stranger", "InvalidClientTokenId", "the AWS credentials")
    processes.must_live()


def _start(processes: Processes, folder: Path, cloudwatch: str, watcher: _Watcher) -> str:
    ready, name = folder / f"{watcher.name}.json", _process(watcher.name)
    processes.log(name).unlink(missing_ok=True)
    unset = [word for variable in watcher.without for word in ("-u", variable)]
    sidecar = processes.start(name, [
        "env", *unset, str(build.BINARIES["spillway"]), "run", "--listen", "127.0.0.1:0", "--ready-file", str(ready),
        "--lambda-endpoint-url", _NOBODY, "--cloudwatch-application", watcher.application,
        "--cloudwatch-endpoint-url", watcher.endpoint_url or cloudwatch,
    ], **moto.CREDENTIALS | (watcher.environment or {}))
    return processes.ready(name, sidecar, ready, 20)["url"]


def _sees(url: str, name: str, expected: dict) -> None:
    # What else the look has brought is in the log by then.
    wait_until(lambda: _job(url)["lane"] is not None, _LOOK_TIMEOUT_S)
    job = _job(url)
    lane = job["lane"] or {}
    seen = {key: lane.get(key, "nothing") for key in expected}
    if job["state"] != "PUBLISHING" or seen != expected:
        raise DemoError(EX_SOFTWARE, f"{name}: {expected} was published, and this is seen: {json.dumps(job)}")
    # The minute had ended less than a minute before it was published, and the look came soon after.
    if not (lane["window_ms"] == lane["worker_cpu_window_ms"] == 60_000 and 0 <= lane["age_ms"] < 120_000):
        raise DemoError(EX_SOFTWARE, f"{name}: a minute's metrics, just over, are said to be {json.dumps(lane)}")


def _is_blind(processes: Processes, urls: dict[str, str], name: str, *words: str) -> None:
    """One look, one line that says what is wrong and what to do, and the sidecar goes on."""
    url = urls[name]
    # By then it is counted, and told to whoever asks.
    wait_until(lambda: _complaints(processes, name), _LOOK_TIMEOUT_S)
    said = _complaints(processes, name)
    problem = json.loads(_get(f"{url}/readyz"))["problems"].get("flink", "")
    if len(said) != 1 or not all(word in problem and word in said[0] for word in words):
        raise DemoError(EX_SOFTWARE, f"{name}: {' and '.join(words)} should be said once: {problem!r}, {said}")
    if _metric(url, "spillway_sensor_blind_looks_total") != 1 or _job(url)["lane"] is not None:
        raise DemoError(EX_SOFTWARE, f"{name}: the look was not blind: {json.dumps(_job(url))}")


def _asked_within_limits(cloudwatch: str) -> None:
    """Against what CloudWatch itself would refuse, and moto does not."""
    asked = json.loads(_get(f"{cloudwatch}/asked"))
    lists = [request["input"] for request in asked if request["operation"] == "ListMetrics"]
    listed = {(of["Namespace"], of.get("MetricName"), of.get("RecentlyActive")) for of in lists}
    if listed != {(_NAMESPACE, name, "PT3H") for name in _ASKED_FOR}:
        raise DemoError(EX_SOFTWARE, f"CloudWatch was asked to list {json.dumps(lists)[:2000]}")
    looks = [request["input"] for request in asked if request["operation"] == "GetMetricData"]
    # One look of each of the three who see, one of them in three pages.
    if len(looks) != 5:
        raise DemoError(EX_SOFTWARE, f"CloudWatch was asked {len(looks)} times for data")
    for look in looks:
        queries = [query["MetricStat"] for query in look["MetricDataQueries"]]
        metrics = {(query["Metric"]["Namespace"], query["Metric"]["MetricName"]) for query in queries}
        good = len(queries) <= _MAX_QUERIES and metrics <= {(_NAMESPACE, name) for name in _ASKED_FOR}
        good = good and {(query["Period"], query["Stat"]) for query in queries} == {(60, "Maximum")}
        # "Align them with the value of the metric's Period", says CloudWatch; then no minute is seen in part.
        if not good or look["StartTime"] % 60 or look["EndTime"] % 60:
            raise DemoError(EX_SOFTWARE, f"CloudWatch was asked for {len(queries)} metrics: {json.dumps(look)[:2000]}")


def _says(processes: Processes, name: str, words: str) -> None:
    if sum(words in line for line in _log(processes, name)) != 1:
        raise DemoError(EX_SOFTWARE, f"{name}: {words!r} should be said once: {processes.last_words(_process(name))}")


def _job(url: str) -> dict:
    return json.loads(_get(f"{url}/v1/status"))["job"]


def _metric(url: str, name: str) -> float:
    return sum(float(line.split()[-1]) for line in _get(f"{url}/metrics").splitlines() if line.startswith(f"{name} "))


def _complaints(processes: Processes, name: str) -> list[str]:
    return [line for line in _log(processes, name) if "CloudWatch" in line]


def _log(processes: Processes, name: str) -> list[str]:
    return processes.log(_process(name)).read_text(encoding="utf-8").splitlines()


def _process(name: str) -> str:
    return f"sensing-{name}"


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        # Not ready is an answer as well.
        with error:
            return error.read().decode()
    except OSError as error:
        raise DemoError(EX_SOFTWARE, f"{url}: {error}") from error


def _post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "text/plain"}, method="POST"), timeout=5):
        pass
