#!/usr/bin/env python3
"""Writes the demo's own input: prose about rivers that nobody wrote, the same on every machine.

Word frequencies fall off as in natural language (Zipf), a line has 12 words and about 93 bytes
on average. A few lines hold what a careless tokenizer trips over: nothing at all, a carriage
return, invalid UTF-8, U+212A (Kelvin), U+0130, accents, underscores, one very long line.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import sys
from typing import Iterator

_COMMON = (
    "the of and a to in that was it he for on as with his at by but from they had not this she or her "
    "an were which all their one so there been would when if what no out up into them then who over "
    "water river wall gate flood rain night morning valley keeper turbine spillway level channel stone"
).split()
_STEMS = (
    "reserv overfl sedim upstr downstr concret embank current barrag sluic torrent meadow cataract "
    "gather measur thunder wander rememb whisper consider discover surrend deliver harbour season "
    "mountain vill fisher lantern bridg carpent engin electric generat transform regul record observ "
    "bound count balanc ledger merch messeng garden orchard timber quarr shepherd winter summ autumn "
    "glac meltwat drain delt estuar pebbl gravel granit limeston marsh reed willow alder heron otter "
    "salmon kingfish dragonf mosquit copper iron brass hinge lever pulley cable anchor ferr sail"
).split()
_ENDINGS = (
    "s ed ing er ers ion ions al ally ment ments ful less ness able ance ity ive ively ish ward wards "
    "keeper works side house master light stone water bound like some borne craft"
).split()
_ACCENTED = ["café", "Zürich", "naïve", "Åre", "œuvre", "Łódź", "Σίσυφος", "река", "水門", "🌊"]
_ODD_LINES = [
    b"",
    b"   ",
    b"- - - !? ... -",
    b"A line that ends in a carriage return\r",
    b"Snow melts at 273 \xe2\x84\xaa and at 0 \xc2\xb0C, the \xe2\x84\xaaeeper said",
    b"\xc4\xb0stanbul lies on a strait, \xc4\xb0ZM\xc4\xb0R on a gulf",
    b"a torn\xff\xfe record, an overlong \xc0\xaf slash, a lone surrogate \xed\xa0\x80 and a cut-off \xe2\x82",
    b"snake_case _private __init__ 42_000 3.14 0x7f e-mail o'clock",
    b'"quoted, with a comma",\tand a tab',
    b" ".join(b"overflow_%d" % number for number in range(900)),
]


class _Dice:
    """A linear congruential generator (Knuth's MMIX): the same numbers in any Python, for good."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def fraction(self) -> float:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 11) / 2**53

    def below(self, bound: int) -> int:
        return int(self.fraction() * bound)


def vocabulary() -> list[str]:
    """A few thousand words, the most frequent first."""
    rare = [stem + ending for ending in _ENDINGS for stem in _STEMS]
    return list(dict.fromkeys(_COMMON + rare + _ACCENTED))


def lines(count: int, seed: int) -> Iterator[bytes]:
    """`count` lines, the odd ones spread among the plain ones."""
    words = vocabulary()
    # Zipf-Mandelbrot: flatter at the head than 1/rank, as in real prose.
    weights = list(itertools.accumulate(1 / (rank + 6) for rank in range(len(words))))
    dice = _Dice(seed)
    odd = {1 + index * count // len(_ODD_LINES): line for index, line in enumerate(_ODD_LINES)}
    for number in range(count):
        if number in odd:
            yield odd[number]
            continue
        sentence = [
            words[bisect.bisect_right(weights, dice.fraction() * weights[-1])] for _ in range(6 + dice.below(13))
        ]
        sentence[0] = sentence[0].capitalize()
        if len(sentence) > 8:
            sentence[4 + dice.below(3)] += ","
        yield (" ".join(sentence) + ".!?;"[dice.below(4)]).encode()


def main(argv: list[str]) -> int:
    """Write the text to a file or to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lines", type=int, default=4_000, help="how many lines (default %(default)s)")
    parser.add_argument("--seed", type=int, default=2026, help="another seed, another text (default %(default)s)")
    parser.add_argument("--out", metavar="FILE", help="where to (default: standard output)")
    arguments = parser.parse_args(argv)
    text = b"".join(line + b"\n" for line in lines(arguments.lines, arguments.seed))
    if arguments.out:
        with open(arguments.out, "wb") as file:
            file.write(text)
    else:
        sys.stdout.buffer.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
