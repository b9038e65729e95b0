"""Which part of a profile is the spike."""

import unittest

import replay_profile
from demo.phases import Phases


def phases(spec):
    return Phases.of(replay_profile.parse(spec))


class PhasesTest(unittest.TestCase):
    def test_the_spike_is_what_is_twice_the_first_rate_or_more(self):
        found = phases("30k:8s,800k:20s,30k:10s")
        self.assertEqual([("baseline", 0, 8_000), ("spike", 8_000, 28_000), ("after", 28_000, 38_000)], found.ranges())
        self.assertEqual(800_000, found.spike_rate_per_s)

    def test_a_ramp_belongs_to_the_spike_from_twice_the_first_rate_on(self):
        found = phases("10:1s,19:1s,20:1s,90:1s,15:1s,25:1s,10:1s")
        self.assertEqual((2_000, 6_000, 90), (found.spike_start_ms, found.spike_end_ms, found.spike_rate_per_s))

    def test_without_a_spike_all_is_baseline(self):
        self.assertEqual([("baseline", 0, 5_000)], phases("50k:5s").ranges())
        self.assertEqual([("baseline", 0, 2_000)], phases("50k:1s,99k:1s").ranges())

    def test_a_profile_that_ends_with_its_spike_has_no_after(self):
        self.assertEqual([("baseline", 0, 1_000), ("spike", 1_000, 2_000)], phases("1k:1s,9k:1s").ranges())

    def test_what_follows_a_silent_start_is_the_spike(self):
        self.assertEqual((1_000, 2_000), (phases("0:1s,9k:1s,0:1s").spike_start_ms, phases("0:1s,9k:1s,0:1s").spike_end_ms))


if __name__ == "__main__":
    unittest.main()
