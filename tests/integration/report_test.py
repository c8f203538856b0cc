#!/usr/bin/env python3
"""A sweep through the real programs, its report, and a model of it made again."""

import html.parser
import json
import unittest

from service import Service

DATASET = "synthetic:800"
VOID = {"meta", "br"}


class Page(html.parser.HTMLParser):
    """Notes tags that do not close each other, addresses, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.problems, self.addresses, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)

    def handle_data(self, data):
        self.text += data


class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.addClassCleanup(cls.service.remove)
        cls.service.start()
        cls.report = cls.service.folder / "report.html"
        cls.swept = cls.service.cytopress(
            "sweep", "--name", "cells", "--dataset", DATASET, "--recipe", "quick", "--architecture",
            "resnet20", "--epochs", "1", "--finetune-epochs", "1", "--batch-size", "32",
            "--calibration-images", "64", "--sparsities", "0,0.5", "--weights", "fp16,int8",
            "--report", cls.report)

    def test_a_sweep_writes_its_report(self):
        self.assertEqual(self.swept.returncode, 0, self.swept.stdout + self.swept.stderr)
        self.assertIn("has made 4 of 4 models", self.swept.stdout)
        text = self.report.read_text(encoding="utf-8")
        page = Page(text)
        self.assertEqual(page.problems + page.open, [])
        self.assertEqual(page.addresses, [])
        self.assertIn("say nothing about real cells", page.text)
        for name in ("cells-s0-fp16", "cells-s0-int8", "cells-s50-fp16", "cells-s50-int8"):
            model = json.loads(self.service.cytopress("--json", "models", name).stdout)
            test = [e for e in model["evaluations"] if e["split"] == "test"][0]
            self.assertIn(f"{test['accuracy']:.4f}", page.text)
            self.assertIn(f"{name}@1", page.text)

    def test_a_model_made_again_is_the_same_bit_for_bit(self):
        result = self.service.cytopress("reproduce", "cells-s50-int8", "--name", "again")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("equal: every tensor", result.stdout)
        self.assertNotIn("DIFFERS", result.stdout)

    def test_other_data_are_refused_before_any_work(self):
        result = self.service.cytopress("reproduce", "cells-s50-int8", "--name", "never",
                                        "--dataset", "synthetic:400")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("Nothing was started", result.stderr)
        jobs = json.loads(self.service.cytopress("--json", "jobs", "--model", "never").stdout)
        self.assertEqual(jobs["jobs"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
