"""No process of a run outlives it, however it ends and whatever the processes do."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from demo import marks, signals
from demo.errors import DemoError, Interrupted
from demo.processes import Processes, wait_until

SCRIPTS = Path(__file__).parents[1]
# Leaves its session and its parent, ignores SIGTERM and SIGHUP: the worst kind of daemon.
DAEMON = """
import os, signal, sys, time
if os.fork(): sys.exit(0)
os.setsid()
for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""


class ProcessesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.before = (marks._TERM_GRACE_S, marks._KILL_GRACE_S)
        marks._TERM_GRACE_S = 0.2
        self.addCleanup(lambda: setattr(marks, "_TERM_GRACE_S", self.before[0]))

    def start_daemon(self, processes):
        file = self.folder / "daemon.pid"
        processes.run("daemon", [sys.executable, "-c", DAEMON, str(file)])
        self.assertTrue(wait_until(lambda: file.exists() and file.read_text() != "", 10))
        return int(file.read_text())

    def test_a_daemon_that_ignores_sigterm_ends_with_the_run(self):
        with Processes(self.folder) as processes:
            pid = self.start_daemon(processes)
            self.assertTrue(alive(pid))
        self.assertFalse(alive(pid))

    def test_a_process_of_somebody_else_is_left_alone(self):
        stranger = subprocess.Popen(["sleep", "600"], env=os.environ | {marks.VARIABLE: "another-run"})
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        with Processes(self.folder) as processes:
            self.start_daemon(processes)
        self.assertIsNone(stranger.poll())

    def test_parts_end_when_a_signal_interrupts_the_run(self):
        with self.assertRaises(Interrupted) as caught, signals.raising(), Processes(self.folder) as processes:
            part = processes.start("part", ["sleep", "600"])
            os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(143, caught.exception.code)
        self.assertEqual(-signal.SIGTERM, part.returncode)

    def test_parts_end_even_if_the_demo_is_killed(self):
        pid_file = self.folder / "part.pid"
        demo = subprocess.Popen([sys.executable, "-c", f"""
import time
from pathlib import Path
from demo.processes import Processes
with Processes(Path({str(self.folder)!r})) as processes:
    part = processes.start("part", ["sleep", "600"])
    Path({str(pid_file)!r}).write_text(str(part.pid))
    time.sleep(600)
"""], env=os.environ | {"PYTHONPATH": str(SCRIPTS)})
        self.assertTrue(wait_until(lambda: pid_file.exists() and pid_file.read_text() != "", 10))
        part = int(pid_file.read_text())
        self.assertTrue(alive(part))
        demo.kill()
        demo.wait()
        self.assertTrue(wait_until(lambda: not alive(part), 10))

    def test_a_tool_that_fails_is_quoted_with_its_last_words_and_its_own_code(self):
        with Processes(self.folder) as processes, self.assertRaises(DemoError) as caught:
            processes.run("tool", ["sh", "-c", "echo first >&2; echo 'no such bucket: x' >&2; exit 78"])
        self.assertEqual(78, caught.exception.code)
        self.assertIn("no such bucket: x", str(caught.exception))

    def test_a_part_that_ends_before_it_is_ready_is_quoted(self):
        with Processes(self.folder) as processes, self.assertRaises(DemoError) as caught:
            part = processes.start("part", ["sh", "-c", "echo 'port 80 is taken' >&2; exit 69"])
            processes.ready("part", part, self.folder / "ready", 10)
        self.assertEqual(69, caught.exception.code)
        self.assertIn("port 80 is taken", str(caught.exception))

    def test_a_part_that_dies_in_mid_run_is_noticed(self):
        with Processes(self.folder) as processes:
            part = processes.start("part", ["sleep", "600"])
            processes.must_live()
            part.kill()
            part.wait()
            with self.assertRaises(DemoError):
                processes.must_live()

    def test_a_program_that_is_not_there_is_named(self):
        with Processes(self.folder) as processes, self.assertRaises(DemoError) as caught:
            processes.start("part", ["/no/such/program"])
        self.assertIn("/no/such/program", str(caught.exception))


def alive(pid):
    """Whether a process runs: a zombie whose parent is init-less does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
