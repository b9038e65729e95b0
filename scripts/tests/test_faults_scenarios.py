"""What the fault harness reads out of the valves' reports."""

import sys
import types
import unittest
from dataclasses import replace

from demo.options import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "faults"))

from harness import reading, scenarios, soak  # noqa: E402
from harness.conductor import Timeline  # noqa: E402
from harness.inject import Struck  # noqa: E402
from harness.kinds import KINDS  # noqa: E402
from harness.proxy import Report  # noqa: E402
from harness.schedule import Fault, Schedule, Setup  # noqa: E402
import run  # noqa: E402

SCHEDULE = Schedule(1, "x", Setup(batch_deadline_ms=1_000), ())


def report(at, attempt="a", **fields):
    counters = {"received": 0, "kept": 0, "diverted": 0, "bounced": 0, "unsettled": 0, "in_flight_batches": 0, "attempt": attempt,
                "first_diverted_ms": None, "last_diverted_ms": None, "parallelism": 1}
    return Report(at, round(at * 1_000), 0, counters | fields)


def judge(check, reports, fault, struck=1, schedule=SCHEDULE):
    world = types.SimpleNamespace(proxy=types.SimpleNamespace(reports=reports))
    return check(world, schedule, Timeline(0.0, 20.0, 0, [fault]), [Struck(Fault(0, "kill_lambda"), struck)])


class ScenariosTest(unittest.TestCase):
    def test_without_the_cloud_all_must_stay_local_and_come_back_in_time(self):
        # Stopped at 4 s with 1 000 records in a batch, 100 of which had been settled; back at 9 s.
        def run(settled=600, settled_late=600, kept=9_000, came_back=900, left=0, back_at=11.0, in_batches=1_000):
            reports = [report(3.9, received=1_500, diverted=500, unsettled=in_batches), report(4.3, received=2_000, diverted=settled),
                       report(4.9, received=2_500, diverted=settled, kept=0), report(8.9, received=12_500, diverted=settled_late, kept=kept, bounced=500, in_flight_batches=left),
                       report(back_at, received=13_000, diverted=700, bounced=came_back)]
            return judge(scenarios._cloud_stopped, reports, (4.0, 9.0), schedule=replace(SCHEDULE, setup=Setup(batch_records=200)))
        self.assertEqual(({"kept_while_down": 0.9, "in_batches_when_stopped": 1_000, "came_back": 900, "diverting_again_s": 2.0}, []), run())
        self.assertIn("nothing was in a batch", run(in_batches=0)[1][0])
        self.assertIn("were settled in it", run(settled_late=605)[1][0])
        self.assertIn("still went into batches", run(kept=8_000)[1][0])
        self.assertIn("899 came back", run(came_back=899)[1][0])
        self.assertIn("still out", run(left=2)[1][0])
        self.assertIn("it must be within", run(back_at=14.5)[1][0])

    def test_diverting_resumes_when_a_record_is_put_into_a_batch(self):
        def run(first_ms, last_ms):
            reports = [report(6.9, last_diverted_ms=4_000, first_diverted_ms=2_000), report(7.6, first_diverted_ms=first_ms, last_diverted_ms=last_ms)]
            return judge(scenarios._sidecar_killed, reports, (4.0, 7.0))
        self.assertEqual(({"diverting_again_s": 0.3}, []), run(7_300, 7_590))
        self.assertEqual(1, len(run(8_200, 8_400)[1]))
        self.assertEqual(({"diverting_again_s": None}, ["diverting after the sidecar was up again: never"]), run(2_000, 4_000))

    def test_a_replaced_sidecar_is_missed_by_no_batch_and_not_for_long(self):
        def run(bounced, struck, first_ms):
            reports = [report(7.6, first_diverted_ms=first_ms, last_diverted_ms=first_ms + 90, bounced=bounced)]
            world = types.SimpleNamespace(proxy=types.SimpleNamespace(reports=reports))
            replaced = Struck(Fault(0, "replace_sidecar"), struck)
            return scenarios._sidecar_replaced(world, SCHEDULE, Timeline(0.0, 20.0, 0, [(1.0, 2.0), (6.0, 7.0)]), [Struck(Fault(0, "function_slow"), 9), replaced])
        self.assertEqual(({"diverting_again_s": [0.3]}, []), run(0, 1, 7_300))
        self.assertEqual(1, len(run(17, 1, 7_300)[1]))
        self.assertEqual(1, len(run(0, 0, 7_300)[1]))
        self.assertEqual(1, len(run(0, 1, 8_300)[1]))

    def test_a_frozen_lane_keeps_nothing_and_slows_nobody_down(self):
        def run(**at_the_end):
            reports = [report(4, received=0), report(6, received=200, kept=200), report(7, received=300, kept=210, unsettled=90),
                       report(9, **({"received": 500, "kept": 210, "diverted": 250, "unsettled": 40} | at_the_end)), report(9.5, received=550, kept=260)]
            return judge(scenarios._lane_frozen, reports, (6.0, 9.0))[1]
        self.assertEqual([], run())
        self.assertEqual(1, len(run(kept=250, diverted=210)))
        self.assertEqual(1, len(run(received=350, diverted=100)))

    def test_a_jobmanager_with_zookeeper_goes_on_from_a_checkpoint_and_another_attempt_diverts(self):
        def judged(said, attempt, at):
            reports = [report(5, "a", diverted=100), report(7, "a", diverted=120), report(at, attempt, diverted=10)]
            world = types.SimpleNamespace(proxy=types.SimpleNamespace(reports=reports))
            killed = Struck(Fault(0, "kill_jobmanager"), 1, said)
            return scenarios._recovered(world, SCHEDULE, Timeline(0.0, 20.0, 0, [(6.0, 6.0)]), [killed])
        self.assertEqual(({"diverting_again_s": 6.5}, []), judged("goes on from chk-9 by itself after 6.0 s", "b", 12.5))
        self.assertEqual(1, len(judged("goes on from nothing: no checkpoint had completed by itself after 6.0 s", "b", 12.5)[1]))
        self.assertEqual(1, len(judged("goes on from chk-9 by itself after 6.0 s", "b", 26.5)[1]))
        self.assertEqual({"diverting_again_s": None}, judged("goes on from chk-9 by itself after 6.0 s", "a", 12.5)[0])

    def test_a_spike_that_one_lane_has_no_part_in_is_named(self):
        self.assertEqual(["in spike 2 nothing was diverted"], soak.idle([{"kept": 5, "diverted": 6}, {"kept": 5, "diverted": 0}]))
        self.assertEqual("auto", soak.schedule(2).setup.mode)

    def test_kinds_are_run_alone_one_after_the_other(self):
        todo = run.schedules(run.parser().parse_args(["--kind", "all"]))
        self.assertEqual(len(KINDS), len(todo))
        self.assertEqual("--kind wire_late --seed 3", run._arguments_of(run.schedules(run.parser().parse_args(["--kind", "wire_late", "--seed", "3"]))[0]))

    def test_all_is_what_one_cluster_can_run(self):
        def names(*arguments):
            return [one.of for one in run.schedules(run.parser().parse_args(arguments))]
        self.assertNotIn("jobmanager-ha", names("--class", "all"))
        self.assertIn("lane-frozen", names("--class", "all"))
        self.assertEqual(["jobmanager-ha"], names("--class", "jobmanager-ha"))

    def test_counters_of_attempts_add_up(self):
        reports = [report(1, "a", received=5), report(2, "b", received=7), report(3, "a", received=6)]
        self.assertEqual([5, 12, 13], [reading.at(reports, moment)["received"] for moment in (1, 2, 3)])


if __name__ == "__main__":
    unittest.main()
