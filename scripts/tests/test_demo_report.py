"""report.json and the screen that is made from it."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from demo import build, options, report, screen
from demo.machine import Placement
from demo.samples import Samples
from demo.services import Job
from demo.verdict import Verdict

CLOUD = {"invocations": 30, "billed_ms": 6_000, "init_ms": [40.0, 8.5, 9.25]}


def make(cloud=CLOUD, diverted=60):
    """The report of a run of 100 records."""
    balance = dict(received=100, kept=100 - diverted, diverted=diverted, bounced=0, late=0, malformed=0,
                   windows=1, open=0, lost=0, duplicated=0, orphans=0)
    samples = Samples()
    # What the sidecar knows: only the answers that it waited for, and what the function says of itself.
    samples.last_status = {"function": {"invocations": 28, "cold_starts": 3, "init_ms": 0.6, "ns_per_record": 700.0, "billed_ms": 1_000},
                           "cost_usd": {"lambda": 0.1, "s3_puts": 0.2}}
    watch = SimpleNamespace(samples=samples, finished_ms=2_000, kill_ms=None, restarts=0)
    with tempfile.NamedTemporaryFile() as binary, mock.patch.dict(build.BINARIES, {"spillway-burst": Path(binary.name)}):
        return report.make(options.parse(["--profile", "10:1s,90:1s"]), Placement((1,), (0,)), Verdict(balance, "", True, True, 100, 5, "0" * 64),
                           watch, {}, cloud, Job("", "id", 0), Path("in.txt"))


class StartTest(unittest.TestCase):
    def test_a_start_is_what_the_local_lambda_measured_from_process_to_poll(self):
        self.assertEqual(9.25, make()["function"]["init_ms"])
        self.assertIn("0.0 MB binary, init 9 ms;", screen.render(make()))

    def test_without_a_start_there_is_no_time_of_it(self):
        made = make({"invocations": 0, "billed_ms": 0, "init_ms": []}, diverted=0)
        self.assertIsNone(made["function"]["init_ms"])


class CostTest(unittest.TestCase):
    def test_is_the_list_price_of_every_invocation_that_ran(self):
        cost = make()["cost_usd"]
        compute = 6.0 * 1769 / 1024 * 0.0000166667 + 30 * 0.20 / 1e6
        self.assertAlmostEqual(compute, cost["lambda"], places=12)
        self.assertAlmostEqual(30 * 0.005 / 1e3, cost["s3_puts"], places=12)
        self.assertAlmostEqual((compute + 0.00015) / 60 * 1e6, cost["per_million_records"], places=9)

    def test_billed_time_is_what_lambda_measured_and_not_the_function_s_own_stages(self):
        self.assertEqual(6_000, make()["function"]["billed_ms"])

    def test_what_diverted_nothing_has_no_price_a_record(self):
        cost = make({"invocations": 0, "billed_ms": 0, "init_ms": []}, diverted=0)["cost_usd"]
        self.assertEqual({"lambda": 0.0, "s3_puts": 0.0, "per_million_records": None}, cost)


if __name__ == "__main__":
    unittest.main()
