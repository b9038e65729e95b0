"""What counts as a fault that struck: how the fault harness waits for something to hit, and how it counts."""

import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "faults"))

from harness import collect, conductor, inject  # noqa: E402
from harness.conductor import Outcome, Timeline, never_struck  # noqa: E402
from harness.inject import Injector, Struck  # noqa: E402
from harness.local_cloud import FaultRules  # noqa: E402
from harness.logs import Logs  # noqa: E402
from harness.schedule import Fault, Schedule, Setup  # noqa: E402


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class FakeInjector:
    """Faults of the named kinds can begin, and strike, from a moment on."""

    def __init__(self, clock, ready=None, strikes=None, done=None, works_until=0):
        self._clock, self._ready, self._strikes, self._done = clock, ready or {}, strikes or {}, done or {}
        self._works_until, self.said = works_until, []

    def has_work(self):
        return self._clock.now < self._works_until

    def ready(self, fault):
        return self._clock.now >= self._ready.get(fault.kind, 0)

    @staticmethod
    def look_again_s(_fault):
        return 0.05

    def begin(self, fault):
        self.said.append((fault.kind, "begins", round(self._clock.now, 1)))
        return Struck(fault, hits=lambda: int(self._clock.now >= self._strikes.get(fault.kind, 0)),
                      undo=lambda: self.said.append((fault.kind, "ends", round(self._clock.now, 1))),
                      under_way=lambda: self._clock.now < self._done.get(fault.kind, 0))

    def wait(self):
        pass


class PlayTest(unittest.TestCase):
    def play(self, *faults, in_turn=False, **when):
        clock = Clock()
        injector = FakeInjector(clock, **when)
        logs = types.SimpleNamespace(mark=dict, between=lambda *_: {})
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "x-1").mkdir()
        schedule = Schedule(1, "x", Setup(), tuple(Fault(at_ms, kind, lasts_ms) for at_ms, kind, lasts_ms in faults), in_turn)
        with mock.patch.object(conductor, "time", clock):
            struck = conductor._play(types.SimpleNamespace(folder=folder), schedule, Timeline(0.0, 16.0, 0), injector, logs, lambda text: None)
        return injector.said, struck

    def test_a_fault_waits_until_there_is_something_to_hit(self):
        said, _ = self.play((3_000, "kill_function", 0), ready={"kill_function": 4.5})
        self.assertEqual([("kill_function", "begins", 4.5), ("kill_function", "ends", 4.5)], said)

    def test_a_fault_that_has_hit_nothing_goes_on_until_it_has(self):
        said, struck = self.play((3_000, "s3_slow", 1_000), strikes={"s3_slow": 6.5})
        self.assertEqual([("s3_slow", "begins", 3.0), ("s3_slow", "ends", 6.5)], said)
        self.assertEqual(1, struck[0].times)

    def test_nobody_waits_for_ever(self):
        said, struck = self.play((3_000, "s3_slow", 1_000), (4_000, "kill_s3", 0), strikes={"s3_slow": 99}, ready={"kill_s3": 99})
        self.assertEqual([("s3_slow", "begins", 3.0), ("s3_slow", "ends", 10.0)], said)
        self.assertEqual([0, 0], [one.times for one in struck])
        self.assertEqual("there was nothing to hit", struck[1].said)

    def test_checkpoints_are_made_to_fail_until_one_has_been_given_up(self):
        self.assertEqual(1, self.play((3_000, "failing_checkpoints", 1_000), strikes={"failing_checkpoints": 12.5})[1][0].times)

    def test_what_says_itself_when_it_is_enough_goes_on_until_then(self):
        with mock.patch.object(FakeInjector, "begin", lambda injector, fault: Struck(fault, 5, enough=lambda: injector._clock.now >= 9.0,
                                                                                    undo=lambda: injector.said.append(round(injector._clock.now, 1)))):
            self.assertEqual([9.0], self.play((3_000, "failing_checkpoints", 1_000))[0])

    def test_a_job_that_has_yet_to_catch_up_is_still_worth_waiting_for(self):
        late = ((13_000, "s3_slow", 1_000),)
        self.assertEqual(1, self.play(*late, strikes={"s3_slow": 17.0}, works_until=18)[1][0].times)
        self.assertEqual(0, self.play(*late, strikes={"s3_slow": 17.0}, works_until=16)[1][0].times)
        self.assertEqual(("s3_slow", "ends", 20.0), self.play(*late, strikes={"s3_slow": 99}, works_until=99)[0][1])
        self.assertEqual([], self.play((13_000, "kill_s3", 0), ready={"kill_s3": 50}, works_until=99)[0])

    def test_in_turn_a_fault_waits_for_the_one_before(self):
        faults = ((3_000, "rescale", 0), (4_000, "s3_slow", 1_000))
        said, _ = self.play(*faults, in_turn=True, done={"rescale": 7.0})
        self.assertEqual([("rescale", "begins", 3.0), ("rescale", "ends", 7.0), ("s3_slow", "begins", 7.3), ("s3_slow", "ends", 8.3)], said)
        said, _ = self.play(*faults, done={"rescale": 7.0})
        self.assertEqual(("s3_slow", "begins", 4.0), said[1])

    def test_in_turn_what_finds_nothing_to_hit_does_not_keep_the_next_one_away(self):
        said, _ = self.play((3_000, "kill_s3", 0), (4_000, "clock", 500), in_turn=True, ready={"kill_s3": 99})
        self.assertEqual("clock", said[0][0])

    def test_a_job_gets_more_time_to_start_on_a_busy_machine_but_not_for_ever(self):
        self.assertEqual([3_000, 3_000, 6_000, 9_000, 24_000], [conductor.lead(*given) for given in ((False, 0.1), (False, 1.0), (False, 2.0), (False, 9.0), (True, 2.0))])

    def test_a_kind_is_missed_if_each_of_its_faults_is(self):
        struck = [Struck(Fault(0, kind), times) for kind, times in (("clock", 0), ("kill_s3", 0), ("clock", 2), ("s3_slow", 0), ("s3_slow", 0))]
        self.assertEqual(["kill_s3", "s3_slow"], never_struck(struck))


class Server:
    """local-cloud's list of rules."""

    def __init__(self):
        self.rules, self.down = [], False

    def call(self, method, body=None):
        if self.down:
            return None
        if method == "PUT":
            self.rules = [rule | {"fired": 0} for rule in body["s3"]]
        return {"s3": [dict(rule) for rule in self.rules]}


class RulesTest(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.rules = FaultRules("http://x", "s3")
        self.rules._call = self.server.call
        self.one, self.other = {"kind": "500", "count": 5}, {"kind": "slow"}

    def test_a_rule_that_is_added_later_comes_first(self):
        self.rules.add(self.one)
        self.rules.add(self.other)
        self.assertEqual(["slow", "500"], [rule["kind"] for rule in self.server.rules])

    def test_counts_what_struck_before_the_list_changed_and_what_is_left(self):
        self.rules.add(self.one)
        self.server.rules[0]["fired"] = 2
        self.assertEqual([2, 2], [self.rules.struck(self.one), self.rules.struck(self.one)])
        self.rules.add(self.other)
        self.assertEqual(3, self.server.rules[1]["count"])
        self.server.rules[1]["fired"] = 1
        self.assertEqual(3, self.rules.remove(self.one))
        self.assertEqual([self.other | {"fired": 0}], self.server.rules)

    def test_of_two_equal_rules_each_is_itself(self):
        first, second = {"kind": "500"}, {"kind": "500"}
        self.rules.add(first)
        self.rules.add(second)
        self.server.rules[0]["fired"] = 4
        self.assertEqual((0, 4), (self.rules.remove(first), self.rules.remove(second)))

    def test_a_server_that_does_not_hear_is_told_again_and_what_it_did_is_lost(self):
        self.server.down = True
        self.rules.add(self.one)
        self.assertEqual(0, self.rules.struck(self.one))
        self.server.down = False
        self.assertEqual(0, self.rules.struck(self.one))
        self.server.rules[0]["fired"] = 1
        self.assertEqual(1, self.rules.remove(self.one))

    def test_a_server_that_was_started_anew_has_counted_nothing(self):
        self.rules.add(self.one)
        self.server.rules = []
        self.assertEqual(0, self.rules.struck(self.one))


class InjectorTest(unittest.TestCase):
    def setUp(self):
        self.used = {7: 0.0, 8: 0.0}
        self.proxy = types.SimpleNamespace(requests=0, answers=0, begin=lambda trouble: None, end=lambda trouble: None)
        self.world = types.SimpleNamespace(
            proxy=self.proxy, functions=lambda: list(self.used), processor_s=self.used.get, pids=lambda part: [8],
            stop_or_continue=lambda pids, number: self.hit.extend(pids) or len(pids), taskmanager=lambda which: [],
            clock=types.SimpleNamespace(set=lambda step: None), sidecar_status=lambda: {"time_ms": self.told_ms})
        self.hit, self.told_ms = [], 0
        self.failed = 0
        self.log = Path(self.enterContext(tempfile.TemporaryDirectory())) / "taskmanager-0.log"
        self.log.touch()
        job = types.SimpleNamespace(checkpoints=lambda: "file:///x", block_checkpoints=lambda: None, failed_checkpoints=lambda: self.failed,
                                    at_work=lambda: True, latest=lambda: None, id="j")
        self.injector = Injector(self.world, job, Logs({"taskmanager-0": self.log}))

    def test_an_instance_is_killed_when_it_works(self):
        fault = Fault(0, "kill_function")
        self.assertFalse(self.injector.ready(fault))
        self.assertFalse(self.injector.ready(fault))
        self.used[7] += 0.005
        self.assertTrue(self.injector.ready(fault))
        self.assertEqual(1, self.injector.begin(fault).times)
        self.assertEqual([7], self.hit)

    def test_what_a_process_did_long_ago_is_no_work_now(self):
        clock = Clock()
        with mock.patch.object(inject, "time", clock):
            self.injector.ready(Fault(0, "kill_s3"))
            clock.now += 5
            self.used[8] += 0.005
            self.assertFalse(self.injector.ready(Fault(0, "kill_s3")))

    def test_a_taskmanager_without_work_is_not_hit_nor_a_job_without_a_checkpoint(self):
        self.assertFalse(self.injector.ready(Fault(0, "kill_taskmanager", params={"which": 0})))
        self.assertFalse(self.injector.ready(Fault(0, "rescale")))

    def test_checkpoints_can_be_made_to_fail_when_the_job_has_one_of_its_own(self):
        job = self.injector._job
        job.latest, job.restored_from = (lambda: "chk-3"), "chk-3"
        self.assertFalse(self.injector.ready(Fault(0, "failing_checkpoints")))
        job.latest = lambda: "chk-4"
        self.assertTrue(self.injector.ready(Fault(0, "failing_checkpoints")))

    def test_a_sidecar_that_nobody_asks_for_is_not_missed(self):
        struck = self.injector.begin(Fault(0, "stop_sidecar"))
        self.assertEqual(0, struck.look())
        self.proxy.requests += 3
        struck.undo()
        self.proxy.requests += 50
        self.assertEqual(3, struck.look())

    def test_refused_connections_count_by_what_valves_say_while_they_are(self):
        struck = self.injector.begin(Fault(0, "wire_refused"))
        self.assertEqual(0, struck.look())
        self.log.write_text("INFO Batch a-1 is sent again in 50 ms: java.net.ConnectException\n"
                            "WARN The sidecar at http://x does not answer reports, so everything goes local: java.net.SocketException: reset\n"
                            "WARN The sidecar at http://x does not answer reports, so everything goes local: java.net.ConnectException: refused\n"
                            "WARN RpcService java.net.ConnectException: refused\n")
        self.assertEqual(2, struck.look())

    def test_a_late_answer_counts_also_after_the_fault(self):
        troubles = []
        self.proxy.begin = troubles.append
        struck = self.injector.begin(Fault(0, "wire_late", params={"on": "both", "delay_ms": 1}))
        struck.undo()
        self.assertEqual(0, struck.look())
        troubles[0].struck += 1
        self.assertEqual(1, struck.look())

    def test_a_stepped_clock_strikes_if_the_sidecar_says_so_and_works(self):
        struck = self.injector.begin(Fault(0, "clock", params={"step_s": -3_600}))
        self.proxy.answers += 4
        with mock.patch.object(inject, "time", types.SimpleNamespace(time=lambda: 10_000.0)):
            self.told_ms = 10_000_000
            self.assertEqual(0, struck.look())
            self.told_ms = 6_400_100
            self.assertEqual(4, struck.look())

    def test_failing_checkpoints_strike_when_flink_says_that_one_failed(self):
        struck = self.injector.begin(Fault(0, "failing_checkpoints"))
        self.assertEqual(0, struck.look())
        self.failed = 1
        self.assertEqual(1, struck.look())


    def test_in_s3_checkpoints_fail_when_one_has_had_its_time_and_count_when_flink_says_so_afterwards(self):
        fired, clock, asked = [0], Clock(), []
        clock.time_ns = lambda: int(clock.now * 1e9)
        self.world.s3_rules = types.SimpleNamespace(add=lambda rule: None, struck=lambda rule: fired[0], remove=lambda rule: fired[0])
        job = self.injector._job
        job.checkpoints, job.id, job.failed_in = (lambda: "s3://x"), "j", lambda *given: asked.append(given) or self.failed
        with mock.patch.object(inject, "time", clock):
            struck = self.injector.begin(Fault(0, "failing_checkpoints"))
            clock.now = 20.0
            self.assertFalse(struck.enough())
            fired[0] = 7
            self.assertFalse(struck.enough())
            clock.now = 28.0
            self.assertFalse(struck.enough())
            clock.now = 29.0
            self.assertTrue(struck.enough())
            struck.undo()
            self.assertEqual(0, struck.look())
            self.failed = 2
            self.assertEqual(2, struck.look())
            self.assertEqual(("j", 0, 29_000), asked[0])

    def test_a_sidecar_that_is_not_there_cannot_be_stopped(self):
        self.world.pids = lambda part: []
        struck = self.injector.begin(Fault(0, "stop_sidecar"))
        self.proxy.requests += 3
        self.assertEqual(0, struck.look())


class CollectTest(unittest.TestCase):
    def test_reads_what_gc_says_that_it_removed(self):
        self.assertEqual(1234, collect.removed_of("remove a (1 KB)\n1 234 orphans, 5.1 MB, removed; 3 too young to tell; 9 partials have their receipt\n"))
        with self.assertRaises(ValueError):
            collect.removed_of("5 orphans, 5 B, would be removed; 0 too young to tell; 9 partials have their receipt\n")

    def test_names_what_should_not_have_been_removed(self):
        gone = {"partials/a/1.parquet", "partials/a/2.parquet", "ledger/part-1"}
        self.assertEqual(["ledger/part-1", "partials/a/2.parquet"], collect.wrongly(gone, {"partials/a/2.parquet", "partials/a/3.parquet"}))

    def test_what_sinks_make_and_remove_is_not_missed(self):
        root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("ledger/part-1", "ledger/_part-2_tmp", "ledger/.part-3"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).touch()
        self.assertEqual({"ledger/part-1"}, collect.names(root))


if __name__ == "__main__":
    unittest.main()
