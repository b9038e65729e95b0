"""Who runs on which core."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator


@dataclass(frozen=True)
class Placement:
    """The TaskManager's core and everything else's; both empty on a machine with a single core."""

    taskmanager: tuple[int, ...]
    others: tuple[int, ...]

    @classmethod
    def of_this_machine(cls) -> "Placement":
        """The last core we may use is the TaskManager's; the first ones serve most interrupts."""
        cores = sorted(os.sched_getaffinity(0))
        return cls((), ()) if len(cores) < 2 else cls((cores[-1],), tuple(cores[:-1]))

    @property
    def pinned(self) -> bool:
        """Whether there are cores enough to keep the two apart."""
        return bool(self.taskmanager)

    def prefix(self) -> list[str]:
        """What to put before the command of a part that is not the TaskManager."""
        return ["taskset", "-c", cpu_list(self.others)] if self.pinned else []

    def describe(self) -> str:
        """For the screen."""
        if not self.pinned:
            return "one core for everything: nothing is pinned, so expect the lanes to fight for it"
        return f"TaskManager on core {cpu_list(self.taskmanager)}, everything else on core {cpu_list(self.others)}"

    @contextmanager
    def out_of_the_way(self) -> Iterator[None]:
        """Within, this process keeps off the TaskManager's core too."""
        before = os.sched_getaffinity(0)
        if self.pinned:
            os.sched_setaffinity(0, self.others)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def cpu_list(cores: tuple[int, ...]) -> str:
    """Core numbers as taskset takes them."""
    return ",".join(map(str, cores))
