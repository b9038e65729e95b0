"""The fault harness's schedules: the same seed, the same run, for good."""

import hashlib
import sys
import unittest

from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "faults"))

from harness import schedule  # noqa: E402
from harness.dice import Dice  # noqa: E402
from harness.kinds import FAMILIES, KINDS  # noqa: E402


class DiceTest(unittest.TestCase):
    def test_gives_the_numbers_of_splitmix64(self):
        # The reference implementation's first outputs for seed 1234567.
        dice = Dice(1234567)
        self.assertEqual([6457827717110365317, 3203168211198807973, 9817491932198370423], [dice.between(0, 2**64 - 1) for _ in range(3)])

    def test_stays_within_its_bounds_and_reaches_them(self):
        dice = Dice(7)
        self.assertEqual({2, 3, 4}, {dice.between(2, 4) for _ in range(200)})

    def test_shuffles_all_and_nothing_else(self):
        self.assertEqual(list(range(9)), sorted(Dice(3).shuffled(range(9))))


class ScheduleTest(unittest.TestCase):
    def test_a_seeds_schedule_never_changes_without_a_new_version(self):
        self.assertEqual(2, schedule.VERSION)
        of_20 = "".join(schedule.mixed(seed).to_json() for seed in range(20))
        self.assertEqual(EXPECTED, hashlib.sha256(of_20.encode()).hexdigest())

    def test_has_faults_enough_and_not_more_restarts_than_a_run_can_bear(self):
        for seed in range(300):
            faults = schedule.mixed(seed).faults
            self.assertTrue(10 <= len(faults) <= 13)
            self.assertLessEqual(sum(KINDS[fault.kind].restarts for fault in faults), 3)
            self.assertEqual(list(faults), sorted(faults, key=lambda fault: fault.at_ms))

    def test_a_hundred_seeds_know_every_kind(self):
        drawn = {fault.kind for seed in range(1, 101) for fault in schedule.mixed(seed).faults}
        self.assertEqual(set(KINDS), drawn)

    def test_a_familys_run_has_each_of_its_kinds_once_and_must_show_each(self):
        for family in FAMILIES:
            for seed in range(1, 20):
                run = schedule.of_family(family, seed)
                self.assertEqual(sorted(kind.name for kind in KINDS.values() if kind.family == family), sorted(fault.kind for fault in run.faults))
                self.assertTrue(run.in_turn and run.kinds_must_strike)

    def test_a_kind_alone_is_alone_and_must_be_shown(self):
        for name in KINDS:
            run = schedule.of_kind(name, 1)
            self.assertEqual({name}, {fault.kind for fault in run.faults})
            self.assertTrue(run.in_turn and run.kinds_must_strike)
        self.assertEqual(len(KINDS), len({schedule.of_kind(name, 1).name for name in KINDS}))

    def test_what_restarts_the_job_several_times_comes_with_no_higher_spike(self):
        self.assertEqual({"120k"}, {schedule.of_family("flink", seed).setup.spike for seed in range(1, 20)})
        self.assertLess(1, len({schedule.of_family("function", seed).setup.spike for seed in range(1, 20)}))

    def test_in_turn_a_fault_is_over_before_the_next_one_is_due(self):
        for family in FAMILIES:
            for seed in range(1, 20):
                run = schedule.of_family(family, seed)
                for fault, following in zip(run.faults, run.faults[1:]):
                    self.assertLess(fault.at_ms + fault.lasts_ms, following.at_ms)
                self.assertLess(run.faults[-1].at_ms + run.faults[-1].lasts_ms, run.setup.duration_ms)

    def test_each_rescaling_is_to_another_parallelism(self):
        rescalings = 0
        for run in (make(seed) for seed in range(1, 200) for make in (schedule.mixed, lambda seed: schedule.of_kind("rescale", seed))):
            parallelism = run.setup.parallelism
            for fault in run.faults:
                if fault.kind == "rescale":
                    self.assertNotEqual(parallelism, fault.params["to"])
                    parallelism = fault.params["to"]
                    self.assertIn(parallelism, (1, 2, 3))
                    rescalings += 1
        self.assertGreater(rescalings, 400)

    def test_no_rule_is_for_objects_that_nobody_asks_for(self):
        for seed in range(300):
            for run in (schedule.mixed(seed), schedule.of_family("s3", seed)):
                keys = {fault.params.get("key_contains") for fault in run.faults}
                self.assertTrue(run.setup.checkpoints_in_s3 or "checkpoints/" not in keys)
                conditional = {fault.params["key_contains"] for fault in run.faults if fault.kind.startswith("s3_4")}
                self.assertLessEqual(conditional, {"partials/", ""})


EXPECTED = "3c610f3460a1f6e70f623a1da3d68e0a93f252ddbce7ddc84088e65f5d4dc49a"

if __name__ == "__main__":
    unittest.main()
