"""The proxy between valve and sidecar: it passes on what it should, and breaks what it is told to."""

import http.client
import http.server
import json
import socket
import sys
import threading
import time
import unittest

from demo.options import ROOT
from flink_cluster.cluster import free_ports

sys.path.insert(0, str(ROOT / "experiments" / "faults"))

from harness.proxy import Proxy, Trouble  # noqa: E402

BATCH, REPORT = "/v1/jobs/j/batches/b", "/v1/jobs/j/valves/v/3"


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers with what it got, and remembers it."""

    protocol_version = "HTTP/1.1"
    got: list[bytes] = []

    def _answer(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Upstream.got.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = _answer

    def log_message(self, *_):
        pass


class ProxyTest(unittest.TestCase):
    def setUp(self):
        port, upstream = free_ports(2)
        Upstream.got = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", upstream), Upstream)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.proxy = Proxy(port, upstream)
        self.proxy.start()
        self.addCleanup(self.proxy.stop)
        self.client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        self.addCleanup(self.client.close)

    def put(self, body=b"batch", path=BATCH, **headers):
        self.client.request("PUT" if path == BATCH else "POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return self.client.getresponse().read()

    def test_passes_requests_and_answers_on_over_one_connection(self):
        large = bytes(range(256)) * 20_000
        self.assertEqual([b"one", large, b""], [self.put(b"one"), self.put(large), self.put(b"")])

    def test_leads_new_connections_to_another_port_and_leaves_old_ones_alone(self):
        self.assertEqual(b"one", self.put(b"one"))
        self.proxy.lead_to(free_ports(1)[0])
        self.assertEqual(b"two", self.put(b"two"))
        self.client.close()
        with self.assertRaises((ConnectionResetError, http.client.RemoteDisconnected)):
            self.put(b"three")

    def test_remembers_reports_without_their_latencies(self):
        self.put(json.dumps({"kept": 7, "latency": {"local": "x"}}).encode(), REPORT)
        self.assertEqual([(3, {"kept": 7})], [(report.subtask, report.fields) for report in self.proxy.reports])

    def test_refuses_connections_until_it_is_over(self):
        trouble = Trouble("refused")
        self.proxy.begin(trouble)
        with self.assertRaises(ConnectionRefusedError):
            self.put()
        self.client.close()
        self.proxy.end(trouble)
        self.assertEqual(b"batch", self.put())

    def test_a_reset_in_the_request_reaches_nobody(self):
        self.proxy.begin(Trouble("reset", at="request"))
        with self.assertRaises((ConnectionResetError, http.client.RemoteDisconnected)):
            self.put(b"x" * 100_000)
        self.assertEqual([], [body for body in Upstream.got if body])

    def test_a_reset_of_the_answer_comes_after_the_work_is_done(self):
        for at in ("answer", "half_answer"):
            with self.subTest(at):
                self.client.close()
                trouble = Trouble("reset", at=at)
                self.proxy.begin(trouble)
                with self.assertRaises((ConnectionResetError, http.client.HTTPException)):
                    self.put(at.encode() * 10_000)
                self.assertEqual(at.encode() * 10_000, Upstream.got[-1])
                self.proxy.end(trouble)
                self.assertEqual(1, trouble.struck)

    def test_a_black_hole_takes_the_request_and_says_nothing(self):
        self.client.timeout = 0.2
        self.proxy.begin(Trouble("black_hole"))
        with self.assertRaises(TimeoutError):
            self.put()
        self.assertEqual([], Upstream.got)

    def test_a_late_answer_comes_after_the_senders_deadline_and_counts_only_then(self):
        trouble = Trouble("late", delay_ms=20)
        self.proxy.begin(trouble)
        began = time.monotonic()
        self.assertEqual(b"batch", self.put(spillway_deadline_ms="300"))
        self.assertGreaterEqual(time.monotonic() - began, 0.32)
        self.assertEqual(1, trouble.struck)
        self.client.timeout = 0.2
        self.client.close()
        with self.assertRaises(TimeoutError):
            self.put(spillway_deadline_ms="60000")
        self.assertEqual(1, trouble.struck)

    def test_a_late_answer_to_a_report_is_later_than_a_valve_waits(self):
        self.proxy.begin(Trouble("late", on="reports"))
        began = time.monotonic()
        self.assertEqual(b"{}", self.put(b"{}", REPORT))
        self.assertGreaterEqual(time.monotonic() - began, 1.0)

    def test_an_answer_can_come_twice(self):
        trouble = Trouble("twice")
        self.proxy.begin(trouble)
        with socket.create_connection((self.client.host, self.client.port), timeout=5) as client:
            client.sendall(b"PUT /v1/jobs/j/batches/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbatch")
            answers = b""
            while answers.count(b"\r\n\r\nbatch") < 2:
                got = client.recv(4096)
                self.assertTrue(got, answers)
                answers += got
        self.assertEqual([b"batch"], Upstream.got)
        self.assertEqual(1, trouble.struck)

    def test_of_two_troubles_the_newer_one_strikes(self):
        older, newer = Trouble("reset", at="answer"), Trouble("twice")
        self.proxy.begin(older)
        self.proxy.begin(newer)
        self.put()
        self.assertEqual((0, 1), (older.struck, newer.struck))

    def test_counts_what_valves_ask_for_and_what_the_sidecar_answers(self):
        self.put()
        self.proxy.begin(Trouble("reset", at="request"))
        with self.assertRaises((ConnectionResetError, http.client.RemoteDisconnected)):
            self.put(b"x" * 100_000)
        self.assertEqual((2, 1), (self.proxy.requests, self.proxy.answers))

    def test_what_is_wrong_with_batches_leaves_reports_alone(self):
        self.proxy.begin(Trouble("reset", on="batches", at="answer"))
        self.assertEqual(b"{}", self.put(b"{}", REPORT))
        with self.assertRaises((ConnectionResetError, http.client.RemoteDisconnected)):
            self.put()


if __name__ == "__main__":
    unittest.main()
