"""cytopress-bench on a small network, for a moment: what it prints, not how fast anything is."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

BENCH = pathlib.Path(os.environ["CYTOPRESS_BIN"]) / "cytopress-bench"
# Contenders whose start takes longer than all the rest stay out.
SMALL = ["--architecture", "resnet18", "--stem", "stride2", "--size", "8", "--seconds", "0.005",
         "--without", "frozen", "--without", "quantized", "--without", "onnx"]
SVG = "{http://www.w3.org/2000/svg}"


def bench(*arguments):
    return subprocess.run([BENCH, *SMALL, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=100).stdout


class ThreadsTest(unittest.TestCase):
    """One and two threads at batch 1 and 2, with a pruned twin."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            svg = pathlib.Path(folder) / "speed.svg"
            cls.report = json.loads(bench("--sparsity", 0.8, "--threads", 1, "--threads", 2,
                                          "--batch", 1, "--batch", 2, "--json", "--svg", svg))
            cls.picture = xml.etree.ElementTree.parse(svg).getroot()

    def groups(self):
        """The rows of each batch size and count of threads, by contender."""
        groups = {}
        for row in self.report["timings"]:
            group = groups.setdefault((row["batch"], row["threads"]), {})
            self.assertNotIn(row["contender"], group)
            group[row["contender"]] = row
        return groups

    def test_every_contender_is_measured_with_all_batch_sizes_and_threads(self):
        self.assertEqual(self.report["threads"], [1, 2])
        groups = self.groups()
        self.assertEqual(set(groups), {(1, 1), (1, 2), (2, 1), (2, 2)})
        names = set(groups[1, 1])
        self.assertLessEqual({"onednn-fp32", "libtorch-fp32"}, names)
        for suffix in (" dense", " 80%"):
            self.assertEqual(sum(name.endswith(suffix) for name in names), 1, names)
        for group in groups.values():
            self.assertEqual(set(group), names)

    def test_the_figures_belong_together(self):
        for row in self.report["timings"]:
            self.assertGreaterEqual(row["passes"], 6)
            self.assertLess(0, row["p10_ms"])
            self.assertLessEqual(row["p10_ms"], row["median_ms"])
            self.assertLessEqual(row["median_ms"], row["p90_ms"])
            self.assertAlmostEqual(row["images_per_second"] * row["median_ms"],
                                   1000 * row["batch"], delta=1e-6)
            self.assertGreater(row["gmac_per_second"], 0)
            if row["contender"].endswith("-fp32"):  # small ones may find what others freed
                self.assertGreater(row["memory_bytes"], 0, row["contender"])

    def test_ratios_are_those_of_as_many_threads(self):
        for group in self.groups().values():
            torch = max(row["images_per_second"] for name, row in group.items()
                        if name in ("libtorch-fp32", "libtorch-fp32-avx512"))
            dense = next(row for name, row in group.items() if name.endswith(" dense"))
            for row in group.values():
                speed = row["images_per_second"]
                self.assertAlmostEqual(row["ratio_to_libtorch"] * torch, speed, delta=1e-6 * speed)
                self.assertAlmostEqual(row["ratio_to_dense_int8"] * dense["images_per_second"],
                                       speed, delta=1e-6 * speed)

    def test_the_peak_is_measured_where_there_are_instructions_for_it(self):
        has_vnni = "avx512_vnni" in pathlib.Path("/proc/cpuinfo").read_text()
        peaks = self.report["vnni_peak_gmac_per_second"]
        self.assertEqual([peak > 0 for peak in peaks], [has_vnni, has_vnni])

    def test_the_picture_has_a_bar_for_each_row(self):
        bars = [bar for bar in self.picture.findall(SVG + "rect") if bar.get("class") != "page"]
        self.assertEqual(len(bars), len(self.report["timings"]))
        headings = [text.text for text in self.picture.iter(SVG + "text")
                    if text.get("class") == "heading"]
        self.assertEqual(headings, [f"batch {batch}, threads: {threads}: images a second"
                                    for batch in (1, 2) for threads in (1, 2)])

    def test_the_picture_says_what_it_shows(self):
        parts = list(self.picture)
        self.assertEqual([part.tag for part in parts[:3]],
                         [SVG + "title", SVG + "desc", SVG + "style"])
        self.assertEqual(self.picture.get("aria-labelledby"),
                         f"{parts[0].get('id')} {parts[1].get('id')}")
        shown = self.picture.find(SVG + "text[@class='title']")
        self.assertEqual(parts[0].text, shown.text)
        self.assertIn("images a second", parts[1].text)
        self.assertIn("prefers-color-scheme:dark", parts[2].text)

    def test_every_mark_of_the_picture_is_in_its_legend(self):
        legend = self.picture.find(SVG + "g[@class='legend']")
        marks = (SVG + "rect", SVG + "path")
        self.assertEqual([mark.get("class") for mark in legend if mark.tag in marks],
                         ["ours", "others", "spread"])
        used = {mark.get("class") for mark in self.picture if mark.tag in marks}
        self.assertEqual(used - {"page"}, {"ours", "others", "spread"})


class TableTest(unittest.TestCase):
    def test_one_count_of_threads_needs_no_column(self):
        lines = bench("--batch", 1).splitlines()
        self.assertIn("; threads: 1; ", lines[0])
        header = next(line for line in lines if line.startswith("batch"))
        self.assertEqual(re.split(r"\s{2,}", header)[:3], ["batch", "contender", "median ms"])
        rows = lines[lines.index(header) + 1:]
        self.assertGreaterEqual(len(rows), 3)
        for row in rows:
            # Batch, contender, five figures, the share of the peak, memory and two ratios.
            self.assertRegex(row, r"^ {4}1  \S+ +([\d.]+ +){5}(-|\d+ %) +-?[\d.]+ +[\d.]+x +[\d.]+x$")


if __name__ == "__main__":
    unittest.main()
