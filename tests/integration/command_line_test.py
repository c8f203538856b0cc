#!/usr/bin/env python3
"""The program `cytopress` against the real service."""

import hashlib
import json
import pathlib
import re
import signal
import subprocess
import unittest
import zipfile

from service import BIN, Service, wait_until

DATASET = "synthetic:800"


class CommandLineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.addClassCleanup(cls.service.remove)
        cls.service.start()
        cls.compressed = cls.run_ok(
            "compress", "--name", "cells", "--dataset", DATASET, "--recipe", "quick", "--architecture",
            "resnet18", "--epochs", "6", "--batch-size", "16")

    @classmethod
    def run_ok(cls, *arguments):
        result = cls.service.cytopress(*arguments)
        if result.returncode != 0:
            raise AssertionError(f"{arguments}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def test_compress_prints_ledger_and_sizes(self):
        self.assertRegex(self.compressed, r"(?m)^stage +time +val ACC")
        for stage in ("train", "prune", "quantize"):
            self.assertRegex(self.compressed, rf"(?m)^{stage} ")
        self.assertRegex(self.compressed, r"size: +dense .* -> packed .* -> on disk .*smaller")
        self.assertIn("SYNTHETIC", self.compressed)
        self.assertNotIn("\x1b", self.compressed)  # not a terminal

    def test_classify_is_better_than_guessing(self):
        folder = self.service.folder / "images"
        self.run_ok("datasets", "export", DATASET, "--count", "64", "-o", folder)
        result = json.loads(self.run_ok("--json", "classify", "--model", "cells", "--truth", "folder",
                                        folder))
        self.assertEqual(len(result["images"]), 64)
        self.assertGreater(result["right"], 16)  # 8 by chance

    def test_evaluate_measures_what_the_model_stores(self):
        csv = self.service.folder / "scores.csv"
        result = json.loads(self.run_ok("--json", "evaluate", "--model", "cells", "--dataset", DATASET,
                                        "--csv", csv, "--tolerance", "1e-6"))
        rows = csv.read_text(encoding="utf-8").splitlines()
        self.assertEqual(len(rows), int(result["measured"]["images"]))
        self.assertEqual(rows[0].split(",")[0], "0")
        self.assertAlmostEqual(sum(map(float, rows[0].split(",")[1:])), 1, places=4)

    def test_download_writes_the_file_that_was_announced(self):
        path = self.service.folder / "cells.cyp"
        model = json.loads(self.run_ok("--json", "download", "cells", "-o", path))
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), model["sha256"])
        self.assertEqual(path.stat().st_size, int(model["size"]["disk_bytes"]))

    def test_workers_multiply_with_kernels_that_fit_the_processor(self):
        flags = pathlib.Path("/proc/cpuinfo").read_text().split()
        if not {"avx2", "fma"} <= set(flags):
            self.skipTest("needs a processor with AVX2")
        versions = json.loads(self.run_ok("--json", "models", "cells"))["provenance"]["versions"]
        if "OpenBLAS" not in versions["blas"]:
            self.skipTest(f"needs OpenBLAS, not {versions['blas']}")
        # What OpenBLAS takes a processor for that is newer than itself.
        self.assertNotIn("Prescott", versions["blas"].split())

    def test_interrupting_a_watch_leaves_the_job(self):
        job_id = self.detached("interrupted", epochs=200)
        watch = subprocess.Popen(
            [BIN / "cytopress", "--server", self.service.address(), "--json", "watch", job_id],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watch.stdout.readline()  # it watches
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=30)
        self.assertEqual(watch.returncode, 130)
        self.assertIn(f"cytopress cancel {job_id}", errors)
        state = json.loads(self.run_ok("--json", "jobs", job_id))["state"]
        self.assertIn(state, ("JOB_STATE_QUEUED", "JOB_STATE_LEASED", "JOB_STATE_RUNNING"))

    def test_cancel_stops_a_running_job(self):
        job_id = self.detached("cancelled", epochs=200)
        wait_until("the job trains", lambda: json.loads(
            self.run_ok("--json", "jobs", job_id)).get("progress", {}).get("stage") == "train", 120)
        self.run_ok("cancel", job_id)
        watched = self.service.cytopress("watch", job_id)
        self.assertEqual(watched.returncode, 6, watched.stdout + watched.stderr)

    def test_exit_codes(self):
        self.assertEqual(self.service.cytopress("jobs", "nothing").returncode, 3)
        bad = self.service.cytopress("compress", "--name", "Bad Name", "--dataset", "synthetic")
        self.assertEqual(bad.returncode, 2)
        self.assertIn("--name: ", bad.stderr)
        nobody = subprocess.run([BIN / "cytopress", "--server", "unix:/nonexistent.sock", "jobs"],
                                capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(nobody.returncode, 4)
        damaged = self.service.folder / "damaged.npz"
        damaged.write_bytes(b"no archive")
        refused = self.service.cytopress("compress", "--name", "x", "--dataset", damaged)
        self.assertEqual(refused.returncode, 2, refused.stdout + refused.stderr)
        self.assertIn("damaged.npz", refused.stderr)
        with zipfile.ZipFile(damaged, "w") as archive:  # what only reading shows
            for split in ("train", "val", "test"):
                for kind in ("images", "labels"):
                    archive.writestr(f"{split}_{kind}.npy", b"no array")
        failed = self.service.cytopress("compress", "--name", "x", "--dataset", damaged)
        self.assertEqual(failed.returncode, 5, failed.stdout + failed.stderr)
        self.assertIn("damaged.npz", failed.stderr)

    def detached(self, name, epochs):
        out = self.run_ok("compress", "--name", name, "--dataset", DATASET, "--architecture", "resnet18",
                          "--epochs", epochs, "--detach")
        job_id = re.search(r"cytopress watch (\S+)", out).group(1)
        self.addCleanup(self.service.wait_for_end, job_id)  # the one worker is free again
        self.addCleanup(self.service.cytopress, "cancel", job_id)
        return job_id


if __name__ == "__main__":
    unittest.main(verbosity=2)
