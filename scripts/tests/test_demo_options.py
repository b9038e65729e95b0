"""The demo's command line: everything is checked before anything is started."""

import contextlib
import os
import tempfile
import unittest
from pathlib import Path

from demo import options
from demo.errors import DemoError


class OptionsTest(unittest.TestCase):
    def test_the_same_profile_is_the_default_whatever_is_diverted(self):
        # So that the three results can be compared.
        specs = {options.parse(["--burst", burst]).profile_spec for burst in ("on", "off", "all")}
        self.assertEqual({options.DEFAULT_PROFILE}, specs)

    def test_a_kill_is_due_from_the_start_or_from_the_spike(self):
        for text, due in [("taskmanager@spike+5s", 6_000), ("taskmanager@start+250ms", 250)]:
            chosen = options.parse(["--profile", "1k:1s,9k:9s", "--kill", text])
            self.assertEqual(due, chosen.kill.due_offset_ms(chosen.phases))

    def test_a_csv_of_rates_is_found_from_any_folder(self):
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write("minute,requests\n0,60\n")
            file.flush()
            relative = Path(file.name).name
            with working_directory(Path(file.name).parent):
                self.assertEqual(f"csv:{file.name},speedup=2", options.parse(["--profile", f"csv:{relative},speedup=2"]).profile_spec)

    def test_bad_input_is_refused_with_a_code_of_sysexits(self):
        with tempfile.NamedTemporaryFile() as empty:
            for arguments, code in [
                (["--profile", "fast"], 64),
                (["--profile", "csv:/nowhere.csv"], 66),
                (["--input", "/nowhere"], 66),
                (["--input", "/"], 66),
                (["--input", empty.name], 65),
                (["--burst", "maybe"], 64),
                (["--workload", "weblog2"], 64),
                (["--kill", "jobmanager@spike+1s"], 64),
                (["--unknown"], 64),
            ]:
                with self.subTest(arguments), self.assertRaises(DemoError) as caught:
                    options.parse(arguments)
                self.assertEqual(code, caught.exception.code)

    def test_a_kill_in_the_spike_needs_a_spike(self):
        chosen = options.parse(["--profile", "1k:1s", "--kill", "taskmanager@spike+5s"])
        with self.assertRaises(DemoError):
            chosen.kill.due_offset_ms(chosen.phases)


@contextlib.contextmanager
def working_directory(path):
    """contextlib.chdir came with Python 3.11 only."""
    before = os.getcwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    unittest.main()
