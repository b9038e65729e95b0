"""The fault harness's job: what it may submit when."""

import sys
import types
import unittest

from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "faults"))

from harness.job import Job  # noqa: E402
from harness.schedule import Schedule, Setup  # noqa: E402


class JobTest(unittest.TestCase):
    def test_without_a_jobmanager_to_kill_the_job_that_runs_is_not_submitted_beside_itself(self):
        flink = types.SimpleNamespace(state=lambda job: "RUNNING", restarts=lambda job: 0, checkpoints=lambda job: (0, 0))
        job = Job(types.SimpleNamespace(flink=flink), Schedule(1, "x", Setup(), ()), None, 0, None)
        job.id = "00ff"
        for recover in (job.resubmit_after_jobmanager, job.recover_after_jobmanager):
            self.assertEqual("there was no JobManager to kill", recover(lambda: False))
        self.assertEqual(0, job.submissions)


if __name__ == "__main__":
    unittest.main()
