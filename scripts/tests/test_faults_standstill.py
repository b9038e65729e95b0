"""What the fault harness makes of a stand-still: the lane's throughput and its checkpoints, beside a run without Spillway."""

import sys
import types
import unittest

from demo.errors import DemoError
from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "faults"))

from harness import soak, standstill  # noqa: E402
from harness.conductor import Outcome  # noqa: E402
from harness.flink import CheckpointTime  # noqa: E402
from harness.schedule import Schedule, Setup  # noqa: E402


def beside(words_per_s, *took_ms):
    return standstill.Beside(words_per_s, words_per_s / 10, [CheckpointTime(0, took, "COMPLETED") for took in took_ms])


def compared(words_per_s, took_ms, bad=0):
    measured = {"words_per_s": words_per_s, "checkpoint_ms": took_ms, "checkpoints_bad": bad}
    outcome = Outcome(Schedule(1, "standstill", Setup(), ()), measured=measured)
    standstill.compare(outcome, [beside(900, 10, 20), beside(1_100, 30, 40)], [beside(800), beside(800)])
    return outcome


class StandstillTest(unittest.TestCase):
    def test_as_good_as_without_is_good(self):
        outcome = compared(960, [40, 80, 10])
        self.assertEqual([], outcome.wrong)
        self.assertEqual((0.96, 1.2), (outcome.measured["throughput_to_without"], outcome.measured["throughput_to_local"]))
        self.assertEqual({"n": 3, "p50": 40, "p95": 80, "max": 80}, outcome.measured["checkpoints_ms"])

    def test_a_slower_lane_is_wrong(self):
        self.assertEqual(["the local lane did 94.0% of what it does without Spillway"], compared(940, [20]).wrong)

    def test_checkpoints_that_take_more_than_twice_their_usual_time_or_fail_are_wrong(self):
        self.assertEqual(["checkpoints took 41 ms (p50), without Spillway 20 ms"], compared(1_000, [20, 41, 50]).wrong)
        self.assertEqual(["checkpoints took 81 ms (p95), without Spillway 40 ms"], compared(1_000, [20, 20, 81]).wrong)
        self.assertEqual(["1 checkpoints did not complete"], compared(1_000, [20], bad=1).wrong)

    def test_a_rate_is_that_of_the_time_in_question(self):
        meter = standstill.Meter(types.SimpleNamespace(), "x")
        meter.readings = [standstill.Reading(at, words) for at, words in ((0, 0), (1, 10), (2, 30), (3, 50), (4, 51))]
        self.assertEqual(20, meter.rate(1, 3))
        with self.assertRaises(DemoError):
            meter.rate(3.5, 9)

    def test_what_grows_from_the_second_quarter_to_the_last_is_named(self):
        def grown(*memory_kb):
            sampler = soak.Sampler(types.SimpleNamespace())
            sampler.samples = [soak.Sample("sidecar", 10.0 + at, kb, 20) for at, kb in enumerate(memory_kb)]
            return sampler.grown(10.0, 14.0)[1]
        self.assertEqual([], grown(1_000, 100_000, 300_000, 110_000))
        self.assertEqual(["the memory of sidecar grew from 100000 kB to 120000 kB"], grown(1_000, 100_000, 300_000, 120_000))


if __name__ == "__main__":
    unittest.main()
