"""A load that swings around the engage threshold: what it is made of, and what is told of a trace."""

import sys
import unittest

import replay_profile
from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "deciding"))

import swing  # noqa: E402

POLICY = {"engage_utilization": 0.9}


def decision(mode="burst", rate=50_000.0, reason="r", **capacity):
    known = {"per_s": 100_000.0, "low_per_s": 90_000.0, "high_per_s": 120_000.0, "measured": False} | capacity
    return {"mode": mode, "local_rate_per_s": rate, "reason": reason, "capacity": known, "arrival_per_s": 1.0}


def step(wall_ms, arrival, mode="armed", rate=100_000.0):
    return {"wall_ms": wall_ms, "decision": decision(mode, rate) | {"arrival_per_s": arrival}}, POLICY


class SwingTest(unittest.TestCase):
    def test_the_load_is_as_often_a_tenth_above_the_threshold_as_below(self):
        profile = replay_profile.parse(swing.profile(200_000, 150_000, 180))
        swings = [segment for segment in profile.segments if segment.start_ms >= 1_000 * swing.warm_up_s()]
        self.assertEqual(72, len(swings))
        self.assertEqual([165_000, 135_000] * 36, [segment.rate_per_s for segment in swings])
        self.assertEqual(180_000, sum(segment.duration_ms for segment in swings))

    def test_an_armed_valve_engages_above_its_local_rate(self):
        self.assertEqual(50_000.0, swing.engage_threshold(decision("armed"), POLICY))
        self.assertEqual(50_000.0, swing.engage_threshold(decision(reason="over by now, but ..."), POLICY))

    def test_in_a_spike_the_capacity_says_from_where_on(self):
        self.assertEqual(90_000.0, swing.engage_threshold(decision(measured=True), POLICY))
        self.assertEqual(108_000.0, swing.engage_threshold(decision(), POLICY))
        self.assertEqual(180_000.0, swing.engage_threshold(decision(high_per_s=900_000.0), POLICY))

    def test_without_a_capacity_there_is_no_threshold(self):
        self.assertIsNone(swing.engage_threshold(decision() | {"capacity": None}, POLICY))

    def test_of_each_half_second_the_first_report_with_a_load_counts(self):
        steps = [step(1_000, 0.0), step(1_100, 7.0), step(1_200, 8.0), step(1_500, 9.0)]
        self.assertEqual([(1_100, 7), (1_500, 9)], [(row["wall_ms"], row["arrival_per_s"]) for row in swing.over_time(steps)])

    def test_only_the_swing_is_judged(self):
        rows = swing.over_time([step(500 * number, 110_000 if number % 4 < 1 else 90_000) for number in range(200)])
        found = swing.judge(rows, [9_999, 10_000, 40_000, 70_000], (10_000, 70_000))
        self.assertEqual((2, 2.0, [0.0, 30.0]), (found["changes"], found["changes_a_minute"], found["changes_at_s"]))
        self.assertEqual((0.25, 0.75), (found["load_above_threshold"], found["load_below_threshold"]))
        self.assertEqual(59, found["crossings"])
        self.assertEqual(2, found["most_in_a_minute"])

    def test_the_worst_minute_counts_wherever_it_begins(self):
        rows = swing.over_time([step(500 * number, 90_000) for number in range(400)])
        found = swing.judge(rows, [10_000, 50_000, 69_999, 70_000, 130_000], (0, 180_000))
        self.assertEqual(3, found["most_in_a_minute"])

    def test_a_swing_without_a_known_capacity_tells_nothing(self):
        rows = swing.over_time([({"wall_ms": 1, "decision": decision() | {"capacity": None, "arrival_per_s": 1.0}}, POLICY)])
        self.assertEqual({}, swing.judge(rows, [], (0, 180_000)))


if __name__ == "__main__":
    unittest.main()
