#!/usr/bin/env python3
"""kill -9 of the worker, of the service, of everything: no acknowledged job is lost."""

import os
import signal
import subprocess
import unittest

from cytopress.v1 import job_pb2, jobs_pb2, models_pb2
from service import BIN, CALL_SECONDS, JOB_SECONDS, Service, tiny_spec, wait_until

EPOCHS = 4
IMAGES = 4000  # an epoch outlasts the time between two looks at the job


class RecoveryTest(unittest.TestCase):
    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.remove)
        self.service.start()

    def submit_and_wait_for_epoch(self, epoch):
        """Returns the id of a job that has finished the epochs before `epoch`."""
        job_id = self.service.compress(tiny_spec("cells", images=IMAGES, epochs=EPOCHS)).id

        def reached():
            progress = self.service.get_job(job_id).progress
            return progress.stage == "train" and progress.epoch >= epoch
        wait_until(f"epoch {epoch} begins", reached, JOB_SECONDS)
        return job_id

    def expect_success(self, job_id, least_attempts):
        job = self.service.wait_for_end(job_id)
        self.assertEqual(job.state, job_pb2.JOB_STATE_SUCCEEDED, job)
        self.assertGreaterEqual(job.attempt, least_attempts)
        name, version = job.model.split("@")
        model = self.service.models.GetModel(
            models_pb2.GetModelRequest(name=name, version=int(version)), timeout=CALL_SECONDS)
        self.assertEqual(model.provenance.job_id, job_id)
        return job

    def test_a_killed_worker_costs_one_attempt_and_not_its_epochs(self):
        job_id = self.submit_and_wait_for_epoch(2)
        pids = self.service.worker_pids()
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)
        first_epoch = None
        successors = set()
        for answer in self.service.jobs.WatchJob(jobs_pb2.WatchJobRequest(id=job_id),
                                                 timeout=JOB_SECONDS):
            job = answer.job
            if job.attempt == 2 and job.state == job_pb2.JOB_STATE_RUNNING and job.progress.epoch > 0:
                first_epoch = first_epoch or (job.progress.stage, job.progress.epoch)
                successors.update(self.service.worker_pids())
        self.assertGreaterEqual(first_epoch, ("train", 2))  # from the checkpoint
        job = self.expect_success(job_id, least_attempts=2)
        self.assertEqual(job.attempt, 2)
        self.assertIsNone(self.service.process.poll())
        self.assertEqual(len(successors), 1)  # one other process
        self.assertNotIn(pids[0], successors)

    def test_a_killed_service_keeps_its_jobs(self):
        running = self.submit_and_wait_for_epoch(2)
        queued = self.service.compress(tiny_spec("second"), request_id="queued").id
        self.service.kill()
        self.service.start()
        self.assertEqual(self.service.compress(tiny_spec("second"), request_id="queued").id, queued)
        self.expect_success(running, least_attempts=1)
        self.expect_success(queued, least_attempts=1)

    def test_a_power_cut_keeps_the_job_and_a_watch_finds_the_service_again(self):
        job_id = self.submit_and_wait_for_epoch(2)
        watch = subprocess.Popen([BIN / "cytopress", "--server", self.service.address(), "watch", job_id],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(watch.kill)
        self.assertTrue(watch.stdout.readline())  # it watches
        pids = self.service.worker_pids()
        self.service.kill()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended with its parent
        self.service.start()
        self.expect_success(job_id, least_attempts=1)
        output, _ = watch.communicate(timeout=120)
        self.assertEqual(watch.returncode, 0, output)
        self.assertIn("connection lost", output)
        self.assertIn("connected again", output)

    def test_a_stopped_service_ends_cleanly_and_goes_on_later(self):
        job_id = self.submit_and_wait_for_epoch(1)
        self.assertEqual(self.service.stop(), 0)
        self.assertEqual(self.service.worker_pids(), [])
        self.service.start()
        self.expect_success(job_id, least_attempts=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
