"""The oracle against the shared vectors, against Unicode, and against the dumbest count there is."""

import base64
import contextlib
import io
import json
import random
import re
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import oracle
import replay_profile

VECTORS = Path(__file__).parents[2] / "proto" / "vectors" / "wordcount.json"


class WordsTest(unittest.TestCase):
    def test_words_are_those_of_the_shared_vectors(self):
        vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
        self.assertTrue(vectors)
        for vector in vectors:
            with self.subTest(vector["name"]):
                self.assertEqual(vector["words"], oracle.words(base64.b64decode(vector["record_base64"])))

    def test_of_all_characters_beyond_ascii_only_two_leave_a_word_behind(self):
        left = {}
        for code in range(0x80, 0x110000):
            if 0xD800 <= code < 0xE000:
                continue
            found = oracle.words(chr(code).encode())
            if found:
                left[code] = found
        self.assertEqual({0x130: ["i"], 0x212A: ["k"]}, left)

    def test_of_all_single_bytes_only_word_characters_are_words(self):
        for byte in range(256):
            record = bytes([byte])
            expected = [record.decode("ascii").lower()] if re.fullmatch(rb"[A-Za-z0-9_]", record) else []
            self.assertEqual(expected, oracle.words(record))


class LinesTest(unittest.TestCase):
    def test_only_line_feeds_end_a_line(self):
        self.assertEqual([b"a\r", b"", b"b\x0bc\x0cd\xc2\x85e"], oracle.split_lines(b"a\r\n\nb\x0bc\x0cd\xc2\x85e"))

    def test_a_final_line_feed_starts_no_line(self):
        self.assertEqual([b"a", b""], oracle.split_lines(b"a\n\n"))
        self.assertEqual([b""], oracle.split_lines(b"\n"))


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.input = self.folder / "input.txt"
        self.out = self.folder / "out.csv"

    def run_oracle(self, **changes):
        options = {"--input": self.input, "--profile": "10:1s", "--start": 0, "--window-ms": 1000, "--out": self.out,
                   "--summary": self.folder / "summary.json"} | changes
        arguments = [str(part) for option in options.items() if option[1] is not None for part in option]
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            return oracle.main(arguments), stderr.getvalue()

    def test_counts_as_one_would_by_hand(self):
        self.input.write_bytes(b"to be\nor not\nto be")
        self.assertEqual((0, ""), self.run_oracle(**{"--profile": "2:2s", "--start": "1767225600000"}))
        self.assertEqual(
            b"window_start_ms,key,count\n"
            b"1767225600000,be,1\n1767225600000,not,1\n1767225600000,or,1\n1767225600000,to,1\n"
            b"1767225601000,be,2\n1767225601000,to,2\n",
            self.out.read_bytes(),
        )
        self.assertEqual(
            {"records": 4, "lines": 3, "rows": 6, "windows": [
                {"start_ms": 1767225600000, "records": 2, "rows": 4},
                {"start_ms": 1767225601000, "records": 2, "rows": 2}]},
            json.loads((self.folder / "summary.json").read_text()),
        )

    def test_agrees_with_the_naive_count_on_random_inputs(self):
        random.seed(1)
        alphabet = ["a", "B", "_", "9", " ", ",", "\n", "\r", "\u212a", "\u0130", "é", "\ud7ff"]
        for _ in range(150):
            data = b"".join(random.choice([*(c.encode() for c in alphabet), b"\xff", b"\xc3"]) for _ in range(random.randint(1, 60)))
            self.input.write_bytes(data)
            spec = ",".join(f"{random.choice(['3', '33.3', '0.2k', '0'])}:{random.choice(['90ms', '1s', '2s'])}" for _ in range(3)) + ",1:1s"
            start, size = random.randint(-5_000, 5_000), random.choice([10, 300, 1_000, 60_000])
            self.assertEqual((0, ""), self.run_oracle(**{"--profile": spec, "--start": start, "--window-ms": size}))
            self.assertEqual(naive(data, spec, start, size), self.out.read_bytes(), (data, spec, start, size))

    def test_a_row_is_never_split_by_windows_before_1970(self):
        self.input.write_bytes(b"x")
        self.run_oracle(**{"--profile": "1000:2ms", "--start": -1})
        self.assertEqual(b"window_start_ms,key,count\n-1000,x,1\n0,x,1\n", self.out.read_bytes())

    def test_bad_input_is_one_clear_line_and_an_exit_code_of_sysexits(self):
        self.input.write_bytes(b"x")
        empty = self.folder / "empty.txt"
        empty.touch()
        for code, changes, says in [
            (64, {"--profile": "fast"}, "RATE:DURATION"),
            (64, {"--start": "yesterday"}, "--start"),
            (64, {"--window-ms": 0}, "--window-ms"),
            (64, {"--input": None}, "--input"),
            (65, {"--input": empty}, "is empty"),
            (66, {"--input": self.folder / "nowhere"}, "nowhere"),
            (66, {"--input": self.folder}, "cannot read the input"),
            (66, {"--profile": "csv:/nowhere.csv"}, "/nowhere.csv"),
            (73, {"--out": self.folder / "no" / "folder"}, "cannot write"),
        ]:
            with self.subTest(changes=changes):
                found, stderr = self.run_oracle(**changes)
                self.assertEqual(code, found)
                self.assertIn(says, stderr)
                self.assertEqual(1, stderr.count("\n"), stderr)
                self.assertFalse(self.out.exists())


def naive(data: bytes, spec: str, start: int, size: int) -> bytes:
    """One record after the other, one byte after the other."""
    lines, line = [], bytearray()
    for byte in data:
        if byte == 10:
            lines.append(bytes(line))
            line.clear()
        else:
            line.append(byte)
    if line:
        lines.append(bytes(line))
    counts, record = Counter(), 0
    for segment in replay_profile.parse(spec).segments:
        for step in range(segment.records):
            time = start + int(segment.start_ms + step * segment.duration_ms / segment.records)
            text, word = lines[record % len(lines)].decode("utf-8", "replace").lower() + " ", ""
            for character in text:
                if character in "abcdefghijklmnopqrstuvwxyz0123456789_":
                    word += character
                elif word:
                    counts[time // size * size, word] += 1
                    word = ""
            record += 1
    rows = "".join(f"{window},{word},{count}\n" for (window, word), count in sorted(counts.items()))
    return ("window_start_ms,key,count\n" + rows).encode()


if __name__ == "__main__":
    unittest.main()
