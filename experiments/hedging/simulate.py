#!/usr/bin/env python3
"""Does it help to send a batch a second time when its answer is late? A simulation on virtual time.

Batches arrive at a steady rate. Each attempt takes work that is drawn from a lognormal distribution; a straggler
takes a fixed time on top without using a processor (a slow instance, a lost packet), and a lost one never answers.
On Lambda every attempt has a processor of its own; on a small machine all attempts share `cores`, which is what
spillway-local-cloud does. A batch that has no answer after 5 s is bounced: it counts with 5 s.

    python3 experiments/hedging/simulate.py            # prints the table, writes results.json beside itself
"""

from __future__ import annotations

import heapq
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

DEADLINE_S = 5.0
BATCHES = 20_000
MEDIAN_S, SIGMA = 0.040, 0.35
SEED = 20261120


@dataclass(frozen=True)
class Cloud:
    """What the attempts run on."""

    name: str
    cores: float
    per_second: float
    straggler: float
    straggler_s: float
    lost: float


@dataclass(frozen=True)
class Policy:
    """When a second attempt is made: after `floor_s` and after `times` the running 95th percentile, for at most `share` of batches."""

    name: str
    floor_s: float = math.inf
    times: float = 1.0
    share: float = 0.05


class Run:
    """One cloud under one policy."""

    def __init__(self, cloud: Cloud, policy: Policy) -> None:
        self.cloud, self.policy = cloud, policy
        self.random = random.Random(SEED)
        self.now, self.began, self.done = 0.0, {}, {}
        self.attempts = self.hedges = 0
        self.p95 = MEDIAN_S
        # Attempts at work: virtual finish -> batch. Processor sharing on virtual time: each gets min(1, cores / n).
        self.working: list[tuple[float, int]] = []
        self.virtual = 0.0
        self.events: list[tuple[float, int, str, int]] = []
        self.order = 0

    def at(self, time: float, kind: str, batch: int) -> None:
        self.order += 1
        heapq.heappush(self.events, (time, self.order, kind, batch))

    def send(self, batch: int) -> None:
        self.attempts += 1
        luck = self.random.random()
        if luck < self.cloud.lost:
            return
        work = self.random.lognormvariate(math.log(MEDIAN_S), SIGMA)
        if luck < self.cloud.lost + self.cloud.straggler:
            self.at(self.now + self.cloud.straggler_s, "work", batch)
            self.late_work = work
        else:
            heapq.heappush(self.working, (self.virtual + work, batch))

    def rate(self) -> float:
        return min(1.0, self.cloud.cores / len(self.working)) if self.working else 1.0

    def answer(self, batch: int) -> None:
        if batch in self.done:
            return
        took = self.now - self.began[batch]
        self.done[batch] = took
        # A running quantile: up by 19 parts for one that is slower, down by one for each that is quicker.
        step = 0.01 * self.p95
        self.p95 += 19 * step if took > self.p95 else -step

    def run(self) -> dict:
        time = 0.0
        for batch in range(BATCHES):
            time += self.random.expovariate(self.cloud.per_second)
            self.at(time, "arrive", batch)
        while self.events or self.working:
            finish = self.now + (self.working[0][0] - self.virtual) / self.rate() if self.working else math.inf
            event = self.events[0][0] if self.events else math.inf
            until = min(finish, event)
            self.virtual += (until - self.now) * self.rate()
            self.now = until
            if finish <= event:
                self.answer(heapq.heappop(self.working)[1])
                continue
            _, _, kind, batch = heapq.heappop(self.events)
            if kind == "arrive":
                self.began[batch] = self.now
                self.send(batch)
                self.at(self.now + DEADLINE_S, "deadline", batch)
                wait = max(self.policy.floor_s, self.policy.times * self.p95)
                if math.isfinite(wait):
                    self.at(self.now + wait, "hedge", batch)
            elif kind == "work":
                heapq.heappush(self.working, (self.virtual + self.late_work, batch))
            elif kind == "hedge" and batch not in self.done and self.hedges < self.policy.share * len(self.began):
                self.hedges += 1
                self.send(batch)
            elif kind == "deadline" and batch not in self.done:
                self.done[batch] = DEADLINE_S
        took = sorted(self.done.values())
        quantile = lambda q: round(took[min(len(took) - 1, int(q * len(took)))] * 1e3)
        return {
            "cloud": self.cloud.name, "policy": self.policy.name, "p50_ms": quantile(0.5), "p99_ms": quantile(0.99),
            "p999_ms": quantile(0.999), "max_ms": round(took[-1] * 1e3),
            "bounced": sum(t >= DEADLINE_S for t in took), "extra_percent": round(100 * self.hedges / BATCHES, 2),
        }


CLOUDS = [
    Cloud("Lambda, healthy", math.inf, 20, 0.0, 0.0, 0.0),
    Cloud("Lambda, 1 % take 1 s more", math.inf, 20, 0.01, 1.0, 0.0),
    Cloud("Lambda, 0.1 % take 1 s more", math.inf, 20, 0.001, 1.0, 0.0),
    Cloud("Lambda, 0.1 % never answer", math.inf, 20, 0.0, 0.0, 0.001),
    Cloud("1 core at 50 %", 1, 12, 0.0, 0.0, 0.0),
    Cloud("1 core at 90 %", 1, 21, 0.0, 0.0, 0.0),
    Cloud("1 core at 97 %", 1, 22.7, 0.0, 0.0, 0.0),
]
POLICIES = [
    Policy("none"),
    Policy("after 2 × p95", 0.0, 2.0),
    Policy("after 4 × p95, at least 250 ms", 0.25, 4.0),
    Policy("after 4 × p95, at least 1 s", 1.0, 4.0),
]


def main() -> None:
    results = [Run(cloud, policy).run() for cloud in CLOUDS for policy in POLICIES]
    Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{'cloud':<30}{'second attempt':<34}{'p50':>6}{'p99':>7}{'p99.9':>7}{'max':>7}{'bounced':>9}{'extra':>8}")
    for r in results:
        print(f"{r['cloud']:<30}{r['policy']:<34}{r['p50_ms']:>6}{r['p99_ms']:>7}{r['p999_ms']:>7}{r['max_ms']:>7}{r['bounced']:>9}{r['extra_percent']:>7} %")


if __name__ == "__main__":
    main()
