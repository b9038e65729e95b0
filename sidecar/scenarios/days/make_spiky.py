#!/usr/bin/env python3
"""Writes spiky.csv: a day's ordinary rise and fall, and one spike out of nothing that fades over a quarter of an hour."""

import math

SPIKE_MINUTE = 851


def requests(minute: int) -> int:
    """Requests in a minute of the day; noise from a hash, so that every machine makes the same day."""
    ordinary = 2_900 + 700 * math.sin((minute - 540) / 1440 * math.tau) + 250 * math.sin(minute / 360 * math.tau)
    noise = ((minute * 2_654_435_761) % 4_294_967_296) / 4_294_967_296 - 0.5
    since = minute - SPIKE_MINUTE
    spike = 0 if since < 0 else 15_000 * math.exp(-since / 5)
    return round(ordinary * (1 + 0.08 * noise) + spike)


with open("spiky.csv", "w", encoding="ascii") as file:
    file.write("minute,requests\n")
    file.writelines(f"{minute},{requests(minute)}\n" for minute in range(1440))
