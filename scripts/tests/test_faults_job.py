"""The fault harness's job: what it may submit when."""

import sys
import tempfile
import threading
import types
import unittest
from pathlib import Path
from unittest import mock

from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "faults"))

from harness.flink import CheckpointTime, Refused  # noqa: E402
from harness.job import Job  # noqa: E402
from harness.schedule import Schedule, Setup  # noqa: E402


class FakeFlink:
    """Takes whatever is submitted; each submission's checkpoints are what a test says."""

    def __init__(self, completed=0):
        self.completed, self.submitted, self.over = completed, [], False

    def submit(self, jar_id, arguments, options, restore):
        self.submitted.append((restore, arguments[arguments.index("--checkpoint-interval") + 1], arguments[arguments.index("--parallelism") + 1]))
        self.over = False
        return f"job{len(self.submitted)}"

    def cancel(self, job):
        self.over = True

    def state(self, job, timeout_s=0):
        return "CANCELED" if self.over else "RUNNING"

    def jobs(self):
        return {}

    def restarts(self, job):
        return 0

    def checkpoints(self, job):
        return self.completed, 3


class JobTest(unittest.TestCase):
    def job(self, flink, *reports):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "checkpoints" / "x-1" / "job0" / "chk-7").mkdir(parents=True)
        (folder / "checkpoints" / "x-1" / "job0" / "chk-7" / "_metadata").touch()
        proxy = types.SimpleNamespace(reports=[types.SimpleNamespace(fields=fields) for fields in reports])
        world = types.SimpleNamespace(flink=flink, proxy=proxy, folder=folder, url=lambda part: "", jar_id="jar")
        job = Job(world, Schedule(1, "x", Setup(checkpoint_ms=700), ()), Path("in"), 0, lambda text: None)
        job.id = "job0"
        return job

    def test_without_a_jobmanager_to_kill_the_job_that_runs_is_not_submitted_beside_itself(self):
        flink = types.SimpleNamespace(state=lambda job: "RUNNING", restarts=lambda job: 0, checkpoints=lambda job: (0, 0))
        job = Job(types.SimpleNamespace(flink=flink), Schedule(1, "x", Setup(), ()), None, 0, None)
        job.id = "00ff"
        for recover in (job.resubmit_after_jobmanager, job.recover_after_jobmanager):
            self.assertEqual("there was no JobManager to kill", recover(lambda: False))
        self.assertEqual(0, job.submissions)

    def restored_twice(self, flink, *of_the_first):
        job = self.job(flink, {"attempt": "a", "kept": 9, "diverted": 9})
        submit = flink.submit
        # The valve of the first submission reports as soon as it is there.
        flink.submit = lambda *given: (job._world.proxy.reports.extend(types.SimpleNamespace(fields=fields) for fields in of_the_first), submit(*given))[1]
        with mock.patch("harness.job._WORKS_S", 0.0):
            return job.restore_twice()

    def test_restored_twice_is_from_the_same_checkpoint_with_work_but_no_checkpoint_in_between(self):
        flink = FakeFlink()
        self.assertEqual("goes on from chk-7, where 5 records were done, and then from the same again",
                         self.restored_twice(flink, {"attempt": "b", "kept": 2, "diverted": 3}))
        (first, never, _), (second, usual, _) = flink.submitted
        self.assertEqual(first, second)
        self.assertGreater(int(never.removesuffix("ms")), 3_600_000)
        self.assertEqual("700ms", usual)

    def test_a_checkpoint_in_between_or_no_work_is_not_restored_twice(self):
        self.assertNotIn("the same again", self.restored_twice(FakeFlink(completed=1), {"attempt": "b", "kept": 2, "diverted": 3}))
        self.assertNotIn("the same again", self.restored_twice(FakeFlink()))

    def test_rescaling_changes_the_parallelism_whatever_was_drawn(self):
        flink = FakeFlink()
        job = self.job(flink)
        self.assertEqual("from 1 to 2: goes on from chk-7", job.rescale(1, "cancel"))
        self.assertEqual("2", flink.submitted[0][2])

    def test_a_savepoint_that_finds_tasks_still_starting_is_asked_for_again(self):
        flink = FakeFlink()
        answers = [Refused("the savepoint failed: Not all required tasks are currently running."), "file:///x/savepoint-1"]

        def stop(job, folder):
            flink.over = True
            answer = answers.pop(0)
            if isinstance(answer, Refused):
                raise answer
            return answer
        flink.stop_with_savepoint = stop
        job = self.job(flink)
        with mock.patch("harness.job.time", types.SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda seconds: None)):
            self.assertEqual("goes on from savepoint-1", job.stop_and_restore())
            answers[:] = [Refused("no place for it")]
            flink.over = False
            self.assertEqual("goes on without: no place for it", job.stop_and_restore())

    def test_a_checkpoint_that_failed_counts_for_the_time_in_which_it_was_under_way(self):
        flink = FakeFlink()
        flink.checkpoint_times = lambda job: [CheckpointTime(began, 500, status) for began, status in
                                              ((100, "FAILED"), (600, "FAILED"), (1_000, "COMPLETED"), (1_900, "FAILED"), (2_100, "FAILED"))]
        self.assertEqual(2, self.job(flink).failed_in("job0", 1_000, 2_000))

    def test_asking_twice_counts_a_submissions_checkpoints_once(self):
        job = self.job(FakeFlink(completed=4))
        job.take_stock()
        self.assertEqual(3, job.failed_checkpoints())
        job.id = "job1"
        self.assertEqual((6, 8), (job.failed_checkpoints(), job.checkpoints_completed))

    def test_a_job_that_restarts_goes_on(self):
        flink = FakeFlink()
        job, states = self.job(flink), ["RESTARTING", "RUNNING", "FINISHED", None]
        flink.state = lambda job_id, timeout_s=0: states.pop(0)
        self.assertEqual([True, True, False, False], [job.goes_on() for _ in range(4)])

    def test_a_job_that_somebody_restarts_is_not_at_work(self):
        job = self.job(FakeFlink())
        self.assertTrue(job.at_work())
        answers = []
        with job._lock:
            thread = threading.Thread(target=lambda: answers.append(job.at_work()))
            thread.start()
            thread.join()
        self.assertEqual([False], answers)


if __name__ == "__main__":
    unittest.main()
