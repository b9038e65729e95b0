"""The parts of a run: the local cloud, the Flink cluster, the sidecar, the job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import build, rest
from .errors import EX_SOFTWARE, DemoError
from .machine import Placement, cpu_list
from .options import ROOT, Options
from .processes import Processes

BUCKET = "spillway"
JOB = "wordcount"
OUTPUT = f"s3://{BUCKET}/demo"
LOCATION = f"{OUTPUT}/{JOB}"
FUNCTION = "spillway-burst"
MEMORY_MB = 1769
# 2026-01-01T00:00:00Z: every run of the same input has the same windows, hence the same result.
EVENT_START_MS = 1_767_225_600_000
WINDOW_MS = 1_000
# Deploying the job takes 2 to 6 s; records that were due before would be late before they start.
LEAD = "8s"
# One in so many elements of the local lane's windows is timed; in the cloud lane every record is.
LATENCY_SAMPLE = 16
_ACCESS_KEY, _SECRET_KEY, _REGION = "spillway", "spillway-local", "us-east-1"
_CLUSTER = str(ROOT / "scripts" / "flink-cluster.sh")
_POLICY = {"on": "auto", "off": "local", "all": "burst"}
# With --burst all nothing may stay local, but the valve keeps what it has no credit for. So the cloud lane gets room for all
# that a spike is ahead of the function: 128 batches of up to 4 MB fit into the TaskManager's heap of 1.3 GB beside all else,
# and are 3.7 million records of the demo's text. Batches wait for their turn, as long as the sidecar lets anyone wait.
_ALL_QUEUE = 128
_ALL_WAIT = "60s"

AWS = {
    "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
    "AWS_REGION": _REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class LocalCloud:
    """Lambda and S3 on loopback."""

    lambda_url: str
    s3_url: str

    @classmethod
    def start(cls, processes: Processes, placement: Placement, folder: Path) -> "LocalCloud":
        """Starts it with the burst function and an empty bucket."""
        (folder / "s3").mkdir()
        ready = folder / "local-cloud.json"
        process = processes.start("local-cloud", [
            *placement.prefix(), str(build.BINARIES["spillway-local-cloud"]),
            "--s3-root", str(folder / "s3"), "--bucket", BUCKET,
            "--function", f"{FUNCTION}={build.BINARIES['spillway-burst']}",
            "--function-env", f"SPILLWAY_DESTINATION={OUTPUT}",
            "--memory-mb", str(MEMORY_MB), "--ready-file", str(ready),
        ])
        told = processes.ready("local-cloud", process, ready, 10)
        return cls(told["lambda_url"], told["s3_url"])

    def stats(self) -> dict:
        """What Lambda would have seen and billed."""
        return rest.get(f"{self.lambda_url}/_local/stats")


@dataclass(frozen=True)
class Cluster:
    """A standalone Flink cluster."""

    folder: Path
    rest_url: str

    @classmethod
    def start(cls, processes: Processes, placement: Placement, folder: Path, cloud: LocalCloud) -> "Cluster":
        """Starts a JobManager and a TaskManager that keep their files in the local cloud's S3."""
        pins = ["--cpus-tm", cpu_list(placement.taskmanager), "--cpus-jm", cpu_list(placement.others)] if placement.pinned else []
        settings = {
            "s3.endpoint": cloud.s3_url,
            "s3.path.style.access": "true",
            "s3.access-key": _ACCESS_KEY,
            "s3.secret-key": _SECRET_KEY,
            # The JobManager lives for a minute, on the core of everything else: the second compiler would not pay.
            "env.java.opts.jobmanager": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        }
        processes.run("flink-cluster", [
            _CLUSTER, "start", "--dir", str(folder / "flink"), *pins,
            *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        ])
        cluster = cls(folder / "flink", "")
        return cls(cluster.folder, cluster.state()["rest_url"])

    def state(self) -> dict:
        """The addresses and process ids of now."""
        return json.loads((self.folder / "cluster.json").read_text(encoding="utf-8"))

    def submit(self, processes: Processes, options: Options, input_file: Path, folder: Path, sidecar_url: str | None,
               output: str = OUTPUT) -> "Job":
        """Submits the job and tells when its records are due."""
        said = processes.run("job", [
            _CLUSTER, "run", "--dir", str(self.folder), "-c", "io.spillway.jobs.WordCountJob", str(build.JAR),
            "--input", str(input_file), "--profile", options.profile_spec, "--start", str(EVENT_START_MS),
            "--window", f"{WINDOW_MS}ms", "--output", output, "--job", JOB, "--lead", LEAD,
            "--latency-log", str(folder / "latency.log"), f"-Dspillway.valve.latency.sample={LATENCY_SAMPLE}",
            *(["--sidecar", sidecar_url] if sidecar_url else []),
            *([f"-Dspillway.valve.batch.deadline={_ALL_WAIT}"] if options.burst == "all" else []),
            *options.job_options,
        ])
        lines = [line for line in said.splitlines() if line.strip()]
        plan = next((json.loads(line) for line in lines if line.startswith("{")), None)
        if plan is None:
            raise DemoError(EX_SOFTWARE, f"the job did not say when its records are due: {processes.last_words('job', said)}")
        if plan["records"] != options.profile.records:
            raise DemoError(EX_SOFTWARE, f"the job plans {plan['records']} records, the profile stands for {options.profile.records}")
        return Job(self.rest_url, lines[-1].strip(), plan["due_start_ms"])


@dataclass(frozen=True)
class Job:
    """A submitted job."""

    rest_url: str
    id: str
    due_start_ms: int

    def state(self) -> str:
        """Flink's word for it: RUNNING, RESTARTING, FINISHED, FAILED ..."""
        return rest.get(f"{self.rest_url}/jobs/{self.id}/status")["status"]

    def restarts(self) -> int:
        """How often Flink has restarted it, as far as its metrics tell by now; without them, how often it failed.

        The state would not do: a restart takes half a second, and whoever polls may miss it. Raises Unreachable.
        """
        metrics = rest.get(f"{self.rest_url}/jobs/{self.id}/metrics?get=numRestarts")
        if metrics:
            return int(metrics[0]["value"])
        return len(rest.get(f"{self.rest_url}/jobs/{self.id}/exceptions?maxExceptions=100")["exceptionHistory"]["entries"])

    def cause(self) -> str:
        """Why it failed, in one line."""
        try:
            entries = rest.get(f"{self.rest_url}/jobs/{self.id}/exceptions")["exceptionHistory"]["entries"]
            lines = entries[0]["stacktrace"].splitlines()
            causes = [line for line in lines if line.startswith("Caused by: ")]
            return (causes[-1:] or lines)[0].removeprefix("Caused by: ")
        except (rest.Unreachable, KeyError, IndexError):
            return "Flink tells no cause"


def concurrency(placement: Placement) -> int:
    """How many instances of the function may run at once. Lambda gives each a core of its own; here they share
    what the TaskManager leaves, and more than a few would only wait for each other."""
    return len(placement.others or (0,)) + 2


def start_sidecar(
    processes: Processes, placement: Placement, folder: Path, options: Options, cluster: Cluster, cloud: LocalCloud,
    listen: str = "127.0.0.1:0",
) -> str:
    """Starts the sidecar with a configuration of its own; returns its URL."""
    config, ready = folder / "sidecar.toml", folder / "sidecar.json"
    # One that was here before has left its own.
    ready.unlink(missing_ok=True)
    queue, http = ("", "") if options.burst != "all" else (f"queue = {_ALL_QUEUE}\n", f'\n[http]\nbody_timeout = "{_ALL_WAIT}"\n')
    config.write_text(f"""\
listen = "{listen}"

[flink]
rest_url = {json.dumps(cluster.rest_url)}
job = "{JOB}"

[lambda]
function = "{FUNCTION}"
region = "{_REGION}"
endpoint_url = {json.dumps(cloud.lambda_url)}
memory_mb = {MEMORY_MB}

[divert]
max_concurrency = {concurrency(placement)}
{queue}{http}
[policy]
mode = "{_POLICY[options.burst]}"
""", encoding="utf-8")
    command = [*placement.prefix(), str(build.BINARIES["spillway"]), "run", "--config", str(config), "--ready-file", str(ready)]
    process = processes.start("sidecar", command, **AWS, **options.sidecar_environment)
    return processes.ready("sidecar", process, ready, 10)["url"]
