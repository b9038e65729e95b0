"""The schedule is exact: no record is invented, lost or moved by rounding."""

import random
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path

import replay_profile
from replay_profile import ProfileError, parse


def every_offset(profile):
    """All offsets in record order, straight from the definition."""
    return [
        int(segment.start_ms + step * segment.duration_ms / segment.records)
        for segment in profile.segments
        for step in range(segment.records)
    ]


class ParseTest(unittest.TestCase):
    def test_reads_rates_and_durations_with_their_units(self):
        profile = parse("50k:10s,1.5M:500ms,33.3:2m")
        self.assertEqual([50_000, 1_500_000, Fraction(333, 10)], [s.rate_per_s for s in profile.segments])
        self.assertEqual([10_000, 500, 120_000], [s.duration_ms for s in profile.segments])
        self.assertEqual([500_000, 750_000, 3_996], [s.records for s in profile.segments])

    def test_carries_the_fraction_of_a_record_into_the_next_segment(self):
        # 0.5 + 0.5 + 0.5 + 0.5 records: floors of the running sum are 0, 1, 1, 2.
        profile = parse("0.5:1s,0.5:1s,0.5:1s,0.5:1s")
        self.assertEqual([0, 1, 0, 1], [s.records for s in profile.segments])

    def test_total_is_the_floor_of_the_exact_sum_where_floats_would_be_one_short(self):
        self.assertEqual(28, int(0.29 * 100))
        self.assertEqual(29, parse("0.29:100s").records)

    def test_a_rate_of_zero_is_a_pause(self):
        profile = parse("10:1s,0:5s,10:1s")
        self.assertEqual(20, profile.records)
        self.assertEqual(6_000, profile.segments[2].offset_ms(10))

    def test_refuses_what_is_not_a_profile(self):
        for spec in ["", "50k", "50k:", ":10s", "50k:10", "50k:0s", "-1:1s", "50K:1s", "1e3:1s", "50k:1s,",
                     "50k:1.5s", "0.0001:1s", "0:10s", "50k:10s;3:1s", "٣:1s", "nan:1s"]:
            with self.subTest(spec=spec), self.assertRaises(ProfileError):
                parse(spec)


class CsvTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "rates.csv"

    def test_each_row_is_a_minute_of_its_requests(self):
        self.path.write_text("minute,requests\n0,45\n1,40\n")
        profile = parse(f"csv:{self.path}")
        self.assertEqual([45, 40], [s.records for s in profile.segments])
        self.assertEqual(120_000, profile.duration_ms)

    def test_scale_multiplies_requests_and_speedup_shortens_minutes(self):
        self.path.write_text("minute,requests\n0,45\n1,40\n")
        profile = parse(f"csv:{self.path},scale=0.1,speedup=60")
        self.assertEqual([4, 4], [s.records for s in profile.segments])
        self.assertEqual(2_000, profile.duration_ms)

    def test_a_speedup_that_does_not_divide_a_minute_moves_no_record(self):
        self.path.write_text("minute,requests\n" + "".join(f"{minute},5\n" for minute in range(7)))
        profile = parse(f"csv:{self.path},speedup=7")
        self.assertEqual(60_000, profile.duration_ms)
        self.assertEqual([step * 60_000 // 35 for step in range(35)], every_offset(profile))

    def test_refuses_rows_and_options_it_does_not_know(self):
        for content, options in [("minute,requests\n", ""), ("h\n0,x\n", ""), ("h\n0,1,2\n", ""), ("h\n\n", ""), ("h\nx,1\n", ""),
                                 ("h\n0,1\n2,1\n", ""), ("h\n0,1\n0,1\n", ""), ("h\n1,1\n0,1\n", ""),
                                 ("h\n0,1\n", ",speed=2"), ("h\n0,1\n", ",scale=0"), ("h\n0,1\n", ",scale=a")]:
            self.path.write_text(content)
            with self.subTest(content=content, options=options), self.assertRaises(ProfileError):
                parse(f"csv:{self.path}{options}")


class WindowsTest(unittest.TestCase):
    def test_windows_name_the_records_that_the_definition_puts_into_them(self):
        random.seed(2)
        for _ in range(200):
            spec = ",".join(
                f"{random.choice(['0', '0.3', '7', '33.3', '1k', '0.777k'])}:{random.choice(['1ms', '10ms', '333ms', '1s'])}"
                for _ in range(random.randint(1, 6))
            )
            start, size = random.randint(-3_000, 3_000), random.choice([1, 7, 100, 1_000])
            try:
                profile = parse(spec)
            except ProfileError:
                continue  # nothing but pauses
            expected = {}
            for record, offset in enumerate(every_offset(profile)):
                window = (start + offset) // size * size
                first, _ = expected.get(window, (record, None))
                expected[window] = (first, record + 1)
            found = {window: (first, end) for window, first, end in profile.windows(start, size)}
            self.assertEqual(expected, found, (spec, start, size))

    def test_a_long_pause_costs_nothing(self):
        profile = replay_profile.parse("1:1s,0:50000000m,1:1s")
        self.assertEqual(2, len(list(profile.windows(0, 1))))


if __name__ == "__main__":
    unittest.main()
