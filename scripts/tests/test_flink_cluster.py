"""The cluster's supervisor and command line, with processes that only sleep."""

import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from flink_cluster import __main__ as main
from flink_cluster import cluster, config, job, processes
from flink_cluster.errors import Refused

SLEEP = ["sleep", "600"]
LIMIT_S = 20


def wait_for(condition):
    """What the condition gives once it is true."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {LIMIT_S} s")
        time.sleep(0.01)
    return found


class SupervisorTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(os.path.join(self.folder, "log"))

    def supervise(self, **changes):
        plan = {"rest_url": "http://127.0.0.1:1", "jobmanager": SLEEP, "taskmanager": SLEEP, "taskmanagers": 2,
                "cpus_jm": None, "cpus_tm": None, "owner": None, "restart_jobmanager": False, **changes}
        Path(self.folder, "plan.json").write_text(json.dumps(plan))
        supervisor = subprocess.Popen([*cluster.SUPERVISOR, self.folder], stdout=subprocess.DEVNULL,
                                      env={**os.environ, "PYTHONPATH": cluster.SCRIPTS})
        self.addCleanup(supervisor.wait)
        self.addCleanup(supervisor.kill)
        wait_for(lambda: len(cluster.running(self.folder)) == 4)
        return supervisor

    def test_restarts_a_taskmanager_that_was_killed_and_nothing_else(self):
        self.supervise()
        before = cluster.state(self.folder)
        os.kill(before["taskmanager_pids"][0], signal.SIGKILL)
        after = wait_for(lambda: (s := cluster.state(self.folder)) != before and len(s["taskmanager_pids"]) == 2 and s)
        self.assertEqual(before["taskmanager_pids"][1], after["taskmanager_pids"][1])
        self.assertEqual(before["jobmanager_pid"], after["jobmanager_pid"])

    def test_stop_ends_all_and_only_the_clusters_processes(self):
        stranger = subprocess.Popen(SLEEP)
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        supervisor = self.supervise()
        of_cluster = cluster.running(self.folder)
        cluster.stop(self.folder)
        self.assertEqual(0, supervisor.wait(LIMIT_S))
        self.assertEqual([], [p for p in of_cluster if processes.is_alive(p)])
        self.assertIsNone(stranger.poll())
        self.assertEqual({}, cluster.state(self.folder))

    def test_nothing_outlives_a_supervisor_that_was_killed(self):
        supervisor = self.supervise()
        of_cluster = cluster.running(self.folder)
        supervisor.kill()
        wait_for(lambda: not any(processes.is_alive(p) for p in of_cluster))

    def test_the_clusters_end_follows_the_jobmanagers(self):
        supervisor = self.supervise()
        of_cluster = cluster.running(self.folder)
        os.kill(cluster.state(self.folder)["jobmanager_pid"], signal.SIGKILL)
        self.assertEqual(1, supervisor.wait(LIMIT_S))
        self.assertEqual([], [p for p in of_cluster if processes.is_alive(p)])

    def test_restarts_a_jobmanager_that_was_killed_if_it_is_asked_to(self):
        self.supervise(restart_jobmanager=True)
        before = cluster.state(self.folder)
        os.kill(before["jobmanager_pid"], signal.SIGKILL)
        after = wait_for(lambda: (s := cluster.state(self.folder)) and s["jobmanager_pid"] != before["jobmanager_pid"] and s)
        self.assertEqual(before["taskmanager_pids"], after["taskmanager_pids"])
        self.assertEqual(4, len(cluster.running(self.folder)))

    def test_the_clusters_end_follows_its_owners(self):
        owner = subprocess.Popen(SLEEP)
        supervisor = self.supervise(owner=processes.identity(owner.pid))
        owner.kill()
        owner.wait()
        self.assertEqual(0, supervisor.wait(LIMIT_S))

    def test_a_pid_that_belongs_to_somebody_else_by_now_is_not_ours(self):
        self.assertTrue(processes.is_alive(processes.identity(os.getpid())))
        self.assertFalse(processes.is_alive({"pid": os.getpid(), "start_time": 1}))

    def test_pins_processes(self):
        cpu = min(os.sched_getaffinity(0))
        self.supervise(cpus_tm=[cpu])
        self.assertEqual({cpu}, os.sched_getaffinity(cluster.state(self.folder)["taskmanager_pids"][0]))


class CommandLineTest(unittest.TestCase):
    def test_refuses_what_makes_no_sense_with_64(self):
        for arguments in ["", "fly", "start", "start --dir d --slots 0", "start --dir d --conf a", "run --dir d",
                          "start --dir d --conf rest.port=0", "start --dir d --cpus-tm 99999", "stop --dir d x"]:
            with self.subTest(arguments), self.assertRaises(Refused) as refused:
                main.parser().parse_args(arguments.split())
            self.assertEqual(64, refused.exception.code)

    def test_leaves_what_follows_the_jar_to_the_job(self):
        parsed = main.parser().parse_args("run --dir d -c C -D a=b job.jar --dir e -Dx=y --help".split())
        self.assertEqual(("C", [("a", "b")], "job.jar"), (parsed.main_class, parsed.properties, parsed.jar))
        self.assertEqual(["--dir", "e", "-Dx=y", "--help"], parsed.arguments)

    def test_says_that_no_cluster_runs(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(Refused) as refused:
            cluster.require(folder)
        self.assertEqual(69, refused.exception.code)

    def test_passes_a_refusal_of_the_jobs_main_on(self):
        self.assertEqual(66, job.refuse(66, "", "http://x", "err"))

    def test_tells_the_innermost_cause_of_a_failed_submission(self):
        text = "x\norg.A: outer\n\tat b\nCaused by: java.lang.IllegalStateException: inner\n\tat c\n"
        with self.assertRaisesRegex(Refused, "inner") as refused:
            job.refuse(1, text, "http://x", "err")
        self.assertEqual(70, refused.exception.code)


class ConfigTest(unittest.TestCase):
    def test_values_survive_yaml_whatever_is_in_them(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "conf"))
            config.write(folder, {"s3.secret-key": "it's: #{a}"})
            path = Path(folder, "conf", "config.yaml")
            self.assertEqual("'s3.secret-key': 'it''s: #{a}'\n", path.read_text())
            self.assertEqual(0o600, path.stat().st_mode & 0o777)


if __name__ == "__main__":
    unittest.main()
