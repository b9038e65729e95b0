"""The docs name every option that there is, and link to nothing that there is not."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]


class DocsTest(unittest.TestCase):
    def test_every_key_of_the_sidecar_is_described(self):
        source = (ROOT / "sidecar/src/config/keys.rs").read_text(encoding="utf-8")
        keys = re.findall(r'^\s*(?:text|integer|number|boolean)\(\s*"([^"]+)"', source, re.MULTILINE)
        self.assertGreater(len(keys), 10)
        self.assertEqual(keys, re.findall(r"^\| `([^`]+)` \|.*`SPILLWAY_", self.page("sidecar.md"), re.MULTILINE))

    def test_every_option_of_the_valve_is_described(self):
        source = (ROOT / "flink-job/valve/src/main/java/io/spillway/valve/ValveOptions.java").read_text(encoding="utf-8")
        keys = re.findall(r'key\("([^"]+)"\)', source)
        self.assertGreater(len(keys), 5)
        descriptions = ["".join(re.findall(r'"([^"]*)"', text)) for text in re.findall(r"withDescription\(([^;]*)\);", source)]
        rows = re.findall(r"^\| `(spillway\.valve\.[^`]+)` \| (.*) \| [^|]* \|$", self.page("valve.md"), re.MULTILINE)
        self.assertEqual(list(zip(keys, descriptions)), rows)

    def test_every_key_of_the_policy_can_be_patched_by_the_api_s_description(self):
        source = (ROOT / "sidecar/src/decide/policy.rs").read_text(encoding="utf-8")
        struct = source[source.index("pub struct Policy {"):source.index("impl Default for Policy")]
        keys = re.findall(r"^    pub (\w+):", struct, re.MULTILINE)
        self.assertGreater(len(keys), 10)
        description = (ROOT / "proto/openapi.yaml").read_text(encoding="utf-8")
        patch = description[description.index("    PolicyPatch:"):description.index("    Share:")]
        self.assertEqual(keys, re.findall(r"^        (\w+):", patch, re.MULTILINE))

    def test_every_path_of_the_api_is_described(self):
        source = (ROOT / "sidecar/src/serve/mod.rs").read_text(encoding="utf-8")
        paths = re.findall(r'\.route\(\s*"([^"]+)"', source)
        self.assertGreater(len(paths), 5)
        description = (ROOT / "proto/openapi.yaml").read_text(encoding="utf-8")
        self.assertEqual(sorted(paths), sorted(re.findall(r"^  (/[^:]*):$", description, re.MULTILINE)))

    def test_every_relative_link_leads_somewhere(self):
        pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/**/*.md")]
        for page in pages:
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
                with self.subTest(page=page.relative_to(ROOT), link=link):
                    self.assertTrue((page.parent / link).exists())

    @staticmethod
    def page(name):
        return (ROOT / "docs" / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    unittest.main()
