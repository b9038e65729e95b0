"""The demo's exit code: 1 says that the result is wrong, so whatever else goes wrong has another one, and one line."""

import contextlib
import errno
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import make_text
from demo import __main__ as demo
from demo import options, rest, run
from demo.errors import DemoError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class ExitCodeTest(unittest.TestCase):
    def test_a_part_that_does_not_answer_is_unavailable(self):
        self.assertEqual((69, "demo: no answer from http://lambda/_local/stats: timed out\n"),
                         self.ended(rest.Unreachable("http://lambda/_local/stats: timed out")))

    def test_a_disk_that_is_full_is_an_error_of_input_and_output(self):
        code, said = self.ended(FULL)
        self.assertEqual(74, code)
        self.assertRegex(said, r"\Ademo: .*No space left on device.*\n\Z")

    @staticmethod
    def ended(error):
        """The exit code, and what the user is told, if the run ends so."""
        said = io.StringIO()
        with mock.patch.object(run, "run", side_effect=error), contextlib.redirect_stderr(said):
            return demo.main(["--profile", "10:1s"]), said.getvalue()


class OwnTextTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name)
        self.chosen = options.parse(["--profile", "10:1s", "--out", folder.name])

    def test_is_written_once(self):
        path = run.own_text(self.chosen)
        with mock.patch.object(make_text, "main", side_effect=AssertionError):
            self.assertEqual(path, run.own_text(self.chosen))
        self.assertEqual([path], list(self.out.iterdir()))

    def test_is_whole_or_not_there_at_all(self):
        def cut_short(arguments):
            Path(arguments[-1]).write_text("half a li", encoding="utf-8")
            raise FULL

        with mock.patch.object(make_text, "main", cut_short), self.assertRaises(DemoError) as caught:
            run.own_text(self.chosen)
        self.assertEqual(73, caught.exception.code)
        self.assertEqual([], list(self.out.iterdir()))


class FolderTest(unittest.TestCase):
    def test_an_earlier_result_that_cannot_be_removed_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "report.json").mkdir()
            with self.assertRaises(DemoError) as caught:
                run._folder(options.parse(["--profile", "10:1s", "--out", folder]))
        self.assertEqual(73, caught.exception.code)


if __name__ == "__main__":
    unittest.main()
