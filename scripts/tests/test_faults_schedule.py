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
        self.assertEqual(1, schedule.VERSION)
        of_20 = "".join(schedule.mixed(seed).to_json() for seed in range(20))
        self.assertEqual(EXPECTED, hashlib.sha256(of_20.encode()).hexdigest())

    def test_has_faults_enough_and_not_more_restarts_than_a_run_can_bear(self):
        for seed in range(300):
            faults = schedule.mixed(seed).faults
            self.assertTrue(8 <= len(faults) <= 10)
            self.assertLessEqual(sum(KINDS[fault.kind].restarts for fault in faults), 3)
            self.assertEqual(list(faults), sorted(faults, key=lambda fault: fault.at_ms))

    def test_a_hundred_seeds_know_every_kind(self):
        drawn = {fault.kind for seed in range(1, 101) for fault in schedule.mixed(seed).faults}
        self.assertEqual(set(KINDS), drawn)

    def test_a_familys_run_has_each_of_its_kinds_that_does_not_restart_the_job(self):
        for family in FAMILIES:
            kinds = {kind.name for kind in KINDS.values() if kind.family == family and not kind.restarts}
            self.assertLessEqual(kinds, {fault.kind for fault in schedule.of_family(family, 1).faults})


EXPECTED = "09afbb0ba3cf863a9aba50dfe5eea7da882607acf0e2723ecea4bedf0d80f984"

if __name__ == "__main__":
    unittest.main()
