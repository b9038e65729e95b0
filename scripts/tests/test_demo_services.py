"""What the demo tells the parts that it starts."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from demo import options, services
from demo.machine import Placement


class Recorder:
    """Stands in for Processes: starts nothing, remembers the commands."""

    def __init__(self):
        self.commands = {}

    def start(self, name, command, **_extra):
        self.commands[name] = command

    def ready(self, *_):
        return {"url": "http://127.0.0.1:1"}

    def run(self, name, command, **_extra):
        self.commands[name] = command
        return '{"due_start_ms": 1, "records": 10}\nid\n'


class BurstTest(unittest.TestCase):
    def test_all_has_room_and_time_in_the_cloud_lane_for_what_a_spike_is_ahead_of_the_function(self):
        config, job = self.started("all")
        self.assertIn("[divert]\nmax_concurrency = 3\nqueue = 128\n", config)
        self.assertIn('[http]\nbody_timeout = "60s"\n', config)
        self.assertIn("-Dspillway.valve.batch.deadline=60s", job)

    def test_on_and_off_leave_the_cloud_lane_at_its_defaults(self):
        for burst in ("on", "off"):
            config, job = self.started(burst)
            self.assertNotIn("queue", config)
            self.assertNotIn("[http]", config)
            self.assertFalse([argument for argument in job if "deadline" in argument])

    def started(self, burst):
        """The sidecar's configuration and the job's command line."""
        chosen = options.parse(["--profile", "10:1s", "--burst", burst])
        with tempfile.TemporaryDirectory() as name:
            recorder, folder = Recorder(), Path(name)
            cluster = services.Cluster(folder, "http://127.0.0.1:2")
            services.start_sidecar(recorder, Placement((1,), (0,)), folder, chosen, cluster, SimpleNamespace(lambda_url="http://127.0.0.1:3"))
            cluster.submit(recorder, chosen, folder / "in.txt", folder, "http://127.0.0.1:1")
            return (folder / "sidecar.toml").read_text(encoding="utf-8"), recorder.commands["job"]


if __name__ == "__main__":
    unittest.main()
