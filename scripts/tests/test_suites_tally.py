"""The closing line of test.sh counts what the tools printed, and never turns a failure into a pass."""

import unittest

from suites import faults, tally
from suites.tally import Tally

CARGO = """
running 2 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
MAVEN = """
[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s -- in io.spillway.valve.ValveTest
[INFO] Tests run: 12, Failures: 0, Errors: 0, Skipped: 0
[ERROR] Tests run: 9, Failures: 1, Errors: 2, Skipped: 1
"""
UNITTEST = "Ran 50 tests in 3.7s\n\nFAILED (failures=1, errors=2)\n"


class TallyTest(unittest.TestCase):
    def test_sums_are_those_of_the_tools(self):
        self.assertEqual(Tally(5, 1), tally.cargo(CARGO, 101))
        self.assertEqual(Tally(17, 3), tally.maven(MAVEN, 1))
        self.assertEqual(Tally(47, 3), tally.unittest(UNITTEST, 1))
        self.assertEqual(Tally(50, 0), tally.unittest("Ran 50 tests in 3.7s\n\nOK\n", 0))

    def test_the_fault_harness_counts_runs(self):
        self.assertEqual(Tally(12, 0), faults.count("   GOOD: ...\n12 good, 0 wrong\n", 0))
        self.assertEqual(Tally(11, 1), faults.count("11 good, 1 wrong: wire-1\n", 1))
        for broken_off in ("", "== wire-1\n", "0 good, 0 wrong\n"):
            self.assertEqual(1, faults.count(broken_off, 0).failed)
        self.assertEqual(1, faults.count("3 good, 0 wrong\n", 69).failed)

    def test_a_tool_that_fails_without_counting_has_failed_once(self):
        for count in (tally.cargo, tally.maven, tally.unittest, tally.verdict):
            self.assertEqual(Tally(0, 1), count("could not compile", 101))

    def test_a_tool_that_ran_no_test_at_all_has_failed(self):
        for count in (tally.cargo, tally.maven, tally.unittest):
            self.assertEqual(Tally(0, 1), count("", 0))

    def test_a_linter_without_complaint_is_one_check(self):
        self.assertEqual(Tally(1, 0), tally.verdict("", 0))


if __name__ == "__main__":
    unittest.main()
