"""Rates, reaction and release from what the sidecar tells."""

import unittest

from demo.samples import Episode, Samples, rates, reaction_ms, release_ms


def status(time_ms, attempt="a", received=0, kept=0, diverted=0, bounced=0, first=None, last=None, **more):
    valve = {"valve": "valve", "subtask": 0, "attempt": attempt, "time_ms": time_ms, "received": received, "kept": kept,
             "diverted": diverted, "bounced": bounced, "late": 0, "first_diverted_ms": first, "last_diverted_ms": last}
    return {"mode": "armed", "reason": "r", "capacity_per_s": None, "valves": [valve]} | more


class SamplesTest(unittest.TestCase):
    def test_counters_that_start_anew_with_an_attempt_are_added_up(self):
        samples = Samples()
        samples.add(status(1_000, "a", received=100, kept=70, diverted=30), 0)
        samples.add(status(2_000, "b", received=5, kept=5), 0)
        self.assertEqual((105, 75, 30), (samples.samples[-1].received, samples.samples[-1].kept, samples.samples[-1].diverted))

    def test_an_answer_without_a_newer_report_adds_no_sample(self):
        samples = Samples()
        samples.add(status(1_000), 0)
        samples.add(status(1_000), 0)
        self.assertEqual(1, len(samples.samples))

    def test_without_a_valve_the_clock_gives_the_time(self):
        samples = Samples()
        samples.add({"mode": "local", "valves": []}, 123)
        self.assertEqual(123, samples.samples[-1].time_ms)

    def test_an_episode_is_remembered_with_its_latest_end(self):
        samples = Samples()
        for last in (10, 20):
            samples.add(status(last, first=5, last=last), 0)
        samples.add(status(2_000, first=1_500, last=1_600), 0)
        self.assertEqual([Episode(5, 20), Episode(1_500, 1_600)], samples.episodes)

    def test_the_last_known_capacity_is_kept(self):
        samples = Samples()
        samples.add(status(1, capacity_per_s=171_000.0), 0)
        samples.add(status(2), 0)
        self.assertEqual(171_000.0, samples.capacity_per_s)


class ReactionTest(unittest.TestCase):
    def test_counts_from_the_first_record_of_the_spike(self):
        self.assertEqual(40, reaction_ms([Episode(100, 200), Episode(8_040, 28_100)], 8_000))

    def test_is_zero_if_diverting_was_going_on(self):
        self.assertEqual(0, reaction_ms([Episode(7_000, 28_100)], 8_000))

    def test_is_unknown_if_nothing_was_diverted_from_then_on(self):
        self.assertIsNone(reaction_ms([Episode(100, 200)], 8_000))
        self.assertIsNone(reaction_ms([], 8_000))

    def test_release_counts_to_the_last_diverted_record_of_all(self):
        episodes = [Episode(8_040, 20_000), Episode(22_000, 29_500)]
        self.assertEqual(1_500, release_ms(episodes, 8_000, 28_000))
        self.assertEqual(0, release_ms(episodes, 8_000, 30_000))
        self.assertIsNone(release_ms([Episode(100, 200)], 8_000, 28_000))


class RatesTest(unittest.TestCase):
    def test_counts_grow_evenly_between_samples(self):
        samples = Samples()
        for time, received, kept, diverted in [(1_000, 0, 0, 0), (1_500, 100, 100, 0), (3_500, 500, 200, 300)]:
            samples.add(status(time, received=received, kept=kept, diverted=diverted), 0)
        self.assertEqual(
            [{"offset_ms": 0, "received": 200.0, "kept": 125.0, "diverted": 75.0},
             {"offset_ms": 1_000, "received": 200.0, "kept": 50.0, "diverted": 150.0},
             {"offset_ms": 2_000, "received": 200.0, "kept": 50.0, "diverted": 150.0}],
            rates(samples.samples, 1_000, 1_000),
        )

    def test_the_last_step_is_as_long_as_there_is_data(self):
        samples = Samples()
        for time, received in [(0, 0), (1_250, 1_250)]:
            samples.add(status(time or 1, received=received), 0)
        self.assertAlmostEqual(1_000.0, rates(samples.samples, 1, 1_000)[-1]["received"], delta=2)

    def test_nothing_seen_is_nothing_told(self):
        self.assertEqual([], rates([], 0, 1_000))


if __name__ == "__main__":
    unittest.main()
