#!/usr/bin/env python3
"""Measures what an idle sidecar takes: resident memory and share of a core of the real binary.

    cargo build --release -p spillway && experiments/deciding/idle.py [--seconds 30] [--spillway target/release/spillway]

Three states, one after the other, each for --seconds after 3 s of settling:
  alone      nobody reports, nobody asks
  reporting  4 subtasks of a valve report every 250 ms, no record arrives
  watched    as before, and `spillway status --watch` asks every second, and a client listens to /v1/events

No Flink is watched: what polling it takes is in the measurements on a real cluster. Writes results/idle.json.
"""

import argparse
import http.client
import json
import os
import platform
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mb(pid, what):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(what)


class Subtask(threading.Thread):
    """Reports as a valve's subtask does, with nothing to tell."""

    def __init__(self, port, index):
        super().__init__(daemon=True)
        self.port, self.index, self.done = port, index, threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        sequence = 0
        while not self.done.wait(0.25):
            counters = ("received", "kept", "diverted", "bounced", "late", "unsettled", "in_flight_batches",
                        "settled_batches", "bounced_batches", "retries", "local_unavailable_ms")
            report = dict.fromkeys(counters, 0)
            report |= {"attempt": "9f3a6c1e2b7d4f08", "sequence": sequence, "parallelism": 4,
                       "workload": "wordcount", "window_size_ms": 1000, "time_ms": int(time.time() * 1000),
                       "watermark_ms": None, "first_diverted_ms": None, "last_diverted_ms": None}
            connection.request("POST", f"/v1/jobs/wordcount/valves/valve/{self.index}", json.dumps(report),
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(body)
            sequence += 1


def measure(pid, state, seconds):
    time.sleep(3)
    before, start = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    return {"state": state, "seconds": round(took, 1), "cpu_seconds": round(cpu_seconds(pid) - before, 2),
            "cores": round((cpu_seconds(pid) - before) / took, 4), "resident_mb": round(memory_mb(pid, "VmRSS"), 1),
            "most_resident_mb": round(memory_mb(pid, "VmHWM"), 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--spillway", default=str(HERE.parents[1] / "target/release/spillway"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        environment = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        sidecar = subprocess.Popen(
            [options.spillway, "run", "--listen", "127.0.0.1:0", "--ready-file", str(ready), "--grace", "0s",
             "--lambda-endpoint-url", "http://127.0.0.1:9", "--lambda-region", "us-east-1"],
            env=environment, stderr=subprocess.DEVNULL)
        others = []
        try:
            while not ready.exists():
                time.sleep(0.05)
            url = json.loads(ready.read_text(encoding="utf-8"))["url"]
            port = int(url.rsplit(":", 1)[1])
            results = [measure(sidecar.pid, "alone", options.seconds)]
            for index in range(4):
                Subtask(port, index).start()
            results.append(measure(sidecar.pid, "reporting", options.seconds))
            others.append(subprocess.Popen([options.spillway, "status", "--watch", "--url", url],
                                           stdout=subprocess.DEVNULL))
            listener = http.client.HTTPConnection("127.0.0.1", port)
            listener.request("GET", "/v1/events")
            events = listener.getresponse()
            threading.Thread(target=lambda: events.read(1 << 30), daemon=True).start()
            results.append(measure(sidecar.pid, "watched", options.seconds))
        finally:
            for process in [*others, sidecar]:
                process.terminate()
                process.wait()
    result = {"machine": {"cpus": os.cpu_count(), "kernel": platform.release()}, "results": results}
    (HERE / "results" / "idle.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in results:
        print(f"{row['state']:<10} {row['cores'] * 100:6.2f} % of a core, {row['resident_mb']:5.1f} MB resident"
              f" (at most {row['most_resident_mb']:.1f})")


if __name__ == "__main__":
    main()
