"""Chance that is the same on every machine and in every Python."""

from __future__ import annotations

from typing import Sequence, TypeVar

T = TypeVar("T")

_MASK = 2**64 - 1


class Dice:
    """SplitMix64 (Steele, Lea, Flood 2014). Python's own generator keeps only random() the same between versions."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def _next(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def between(self, low: int, high: int) -> int:
        """A whole number, low and high included."""
        return low + self._next() % (high - low + 1)

    def one_of(self, options: Sequence[T]) -> T:
        """One of them, each as likely."""
        return options[self.between(0, len(options) - 1)]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All of them in another order (Fisher and Yates)."""
        result = list(options)
        for i in range(len(result) - 1, 0, -1):
            j = self.between(0, i)
            result[i], result[j] = result[j], result[i]
        return result
