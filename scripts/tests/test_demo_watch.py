"""What the demo sees of a job while it runs."""

import io
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from demo import options, rest, watch
from demo.console import Console
from demo.errors import DemoError
from demo.services import Job


class Flink:
    """Answers as Flink's REST API would: always RUNNING, for a restart is over before anyone asks."""

    def __init__(self, restarts, metrics=True):
        self._polls, self._metrics, self._told = list(restarts), metrics, 0

    def get(self, url, _timeout_s=2.0):
        if url == "http://flink/jobs/id/status":
            self._told = self._polls.pop(0) if self._polls else self._told
            return {"status": "RUNNING" if self._polls else "FINISHED"}
        if url.endswith("/metrics?get=numRestarts"):
            return [{"id": "numRestarts", "value": str(self._told)}] if self._metrics else []
        if "/exceptions" in url:
            return {"exceptionHistory": {"entries": [{"stacktrace": "Caused by: it broke"}] * self._told}}
        raise rest.Unreachable(url)


class RestartsTest(unittest.TestCase):
    def test_restarts_that_no_poll_saw_are_counted(self):
        seen, said = self.watched(Flink([0, 1, 3]))
        self.assertEqual(3, seen.restarts)
        self.assertEqual(2, said.count("Flink restarts the job: it broke"))

    def test_without_the_metric_failures_are_counted(self):
        self.assertEqual(2, self.watched(Flink([0, 2], metrics=False))[0].restarts)

    def test_what_was_seen_is_not_forgotten(self):
        self.assertEqual(2, self.watched(Flink([2, 0, 0]))[0].restarts)

    def test_the_cause_is_the_innermost_one_or_the_failure_itself(self):
        for trace, cause in (("Outer\n\tat x\nCaused by: Inner\n\tat y\nCaused by: Core\n\tat z", "Core"), ("Gone: timed out\n\tat x", "Gone: timed out")):
            with mock.patch.object(rest, "get", lambda _url, trace=trace: {"exceptionHistory": {"entries": [{"stacktrace": trace}]}}):
                self.assertEqual(cause, Job("http://flink", "id", 0).cause())

    def test_a_job_that_fails_again_and_again_is_given_up(self):
        with self.assertRaisesRegex(DemoError, "failed 4 times: it broke"):
            self.watched(Flink([0, 4, 4]))

    @staticmethod
    def watched(flink):
        """A run that was followed to its end, and what the user saw of it."""
        said = io.StringIO()
        processes = SimpleNamespace(must_live=lambda: None)
        chosen = options.parse(["--profile", "10:1s"])
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(rest, "get", flink.get), \
                mock.patch.object(watch, "_POLL_S", 0), mock.patch.object(watch, "_STATE_EVERY_S", 0):
            following = watch.Watch(chosen, processes, Console(said), None, Job("http://flink", "id", 0), "http://sidecar")
            following.until_finished(Path(folder, "samples.jsonl"))
        return following, said.getvalue()


if __name__ == "__main__":
    unittest.main()
