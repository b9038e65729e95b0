"""What capacity.py --warm asks of the lane, and how it judges what the sidecar told."""

import sys
import unittest

from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "deciding"))

import warm  # noqa: E402


def samples(parts, saturation, told, step_s=0.5):
    """A lane that keeps what is due, and `saturation(second)` at most; the sidecar tells `told(second)`."""
    found, kept, second = [], 0.0, 0.0
    while second <= parts[-1].end_s:
        found.append({"report_ms": 1_000_000 + round(second * 1000), "received": kept, "kept": kept, "cpu_ns": second * 0.5e9,
                      "capacity_per_s": told(second), "threads_ms": {"C2 CompilerThre": second * 100, "count": second * 400}})
        second += step_s
        kept = min(warm.due(parts, second), kept + saturation(second) * step_s)
    return found


class WarmTest(unittest.TestCase):
    def setUp(self):
        self.parts = warm.parts(100_000, (0.55, 0.75), 18, 10)
        self.holds = [part for part in self.parts if part.kind == "hold"]

    def test_how_much_the_lane_takes_is_tried_out_at_its_end(self):
        parts = [warm.Part("flood", 400_000, 0, 60)]
        self.assertEqual(120_000, warm.tried(samples(parts, lambda second: 120_000 if second >= 35 else 50_000, lambda _: None), 1_000_000))

    def test_each_load_follows_a_saturation_and_is_followed_by_one(self):
        self.assertEqual(["cold", "flood", "rest", "hold", "flood", "rest", "hold", "flood", "rest"], [part.kind for part in self.parts])
        self.assertEqual([55_000, 75_000], [hold.rate for hold in self.holds])
        self.assertGreaterEqual(self.parts[1].end_s - self.parts[1].start_s, 60)
        self.assertTrue(all(one.end_s == other.start_s for one, other in zip(self.parts, self.parts[1:])))

    def test_an_estimate_is_compared_with_what_was_measured_before_and_after(self):
        first = self.holds[0]
        found = samples(self.parts, lambda second: 90_000 if second < first.start_s else 110_000, lambda _: 80_000.0)
        row = warm.judge(found, 1_000_000, self.parts)["holds"][0]
        self.assertEqual((90_000, 110_000), (row["saturation_before_per_s"], row["saturation_after_per_s"]))
        self.assertEqual((0.8, 0.55), (row["after_10_s_over_saturation"], row["of_saturation"]))
        self.assertEqual((0.5, 0.1), (row["cpu"], row["compiling"]))
        self.assertTrue(row["fair"])

    def test_of_the_first_saturation_only_the_end_counts_when_the_compiler_is_done(self):
        end = self.parts[1].end_s
        found = samples(self.parts, lambda second: 100_000 if second >= end - 16 else 80_000, lambda _: 80_000.0)
        self.assertEqual(100_000, warm.judge(found, 1_000_000, self.parts)["holds"][0]["saturation_before_per_s"])

    def test_what_counts_is_told_ten_seconds_after_the_load_began(self):
        start = self.holds[1].start_s
        found = samples(self.parts, lambda _: 100_000, lambda second: 70_000.0 if second < start + 10 else 100_000.0 if second < start + 14 else 120_000.0)
        row = warm.judge(found, 1_000_000, self.parts)["holds"][1]
        self.assertEqual(100_000, row["after_10_s"])
        self.assertEqual([1.0, 1.2, 1.2], row["later_over_saturation"])

    def test_a_lane_that_is_still_busy_with_what_piled_up_makes_no_fair_hold(self):
        found = samples(self.parts, lambda _: 60_000, lambda _: 60_000.0)
        rows = warm.judge(found, 1_000_000, self.parts)["holds"]
        self.assertEqual([False, False], [row["fair"] for row in rows])

    def test_a_flood_that_the_lane_takes_is_no_saturation(self):
        found = samples(self.parts, lambda _: 500_000, lambda _: 100_000.0)
        row = warm.judge(found, 1_000_000, self.parts)["holds"][0]
        self.assertEqual((False, False), (row["saturated"], row["fair"]))

    def test_less_than_half_the_load_is_not_what_was_asked(self):
        found = samples(self.parts, lambda _: 125_000, lambda _: 100_000.0)
        rows = warm.judge(found, 1_000_000, self.parts)["holds"]
        self.assertEqual([(0.44, False), (0.6, True)], [(row["of_saturation"], row["fair"]) for row in rows])

    def test_what_is_not_known_after_ten_seconds_has_no_figure_however_soon_it_is(self):
        start = self.holds[0].start_s
        found = samples(self.parts, lambda _: 100_000, lambda second: 90_000.0 if second > start + 11 else None)
        row = warm.judge(found, 1_000_000, self.parts)["holds"][0]
        self.assertIsNone(row["after_10_s_over_saturation"])
        self.assertEqual([0.9, 0.9, 0.9], row["later_over_saturation"])

    def test_a_sidecar_that_tells_nothing_has_no_figure(self):
        found = samples(self.parts, lambda _: 100_000, lambda _: None)
        self.assertFalse(warm.judge(found, 1_000_000, self.parts)["holds"][0]["after_10_s_over_saturation"])


if __name__ == "__main__":
    unittest.main()
