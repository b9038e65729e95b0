"""The sidecar's wall clock, which can be stepped; see clock_step.c."""

from __future__ import annotations

import subprocess
from pathlib import Path

from demo.errors import EX_UNAVAILABLE, DemoError

_SOURCE = Path(__file__).with_name("clock_step.c")


class Clock:
    """A wall clock for one process, as an offset in a file."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "clock_step.so"
        self._file = folder / "clock-offset"
        self.set(0)
        done = subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE), "-ldl"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoError(EX_UNAVAILABLE, f"cannot compile {_SOURCE}: {done.stderr.strip()[:300]} (Debian: gcc, libc6-dev)")

    @property
    def environment(self) -> dict[str, str]:
        """For the process whose clock it is."""
        return {"LD_PRELOAD": str(self._library), "SPILLWAY_CLOCK_FILE": str(self._file)}

    def set(self, offset_s: int) -> None:
        """From now on the process sees this much more than the time."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{offset_s}\n", encoding="ascii")
        part.replace(self._file)
