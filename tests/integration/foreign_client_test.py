#!/usr/bin/env python3
"""The protocol as a client sees it that shares no code with the service."""

import math
import pathlib
import subprocess
import unittest
import urllib.request

import grpc

from cytopress.v1 import inference_pb2, job_pb2, jobs_pb2, models_pb2
from google.rpc import error_details_pb2, status_pb2
from service import BIN, CALL_SECONDS, Service, tiny_spec

IMAGES = 400


def details(error):
    """ErrorInfo and BadRequest of a failed call."""
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                detail.Unpack(info)
                detail.Unpack(bad_request)
    return info, bad_request


class ForeignClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.addClassCleanup(cls.service.remove)
        cls.service.start()
        cls.submitted = cls.service.compress(tiny_spec("cells", IMAGES), request_id="first")
        cls.watched = [
            answer.job for answer in cls.service.jobs.WatchJob(
                jobs_pb2.WatchJobRequest(id=cls.submitted.id), timeout=400)]
        cls.job = cls.watched[-1]
        assert cls.job.state == job_pb2.JOB_STATE_SUCCEEDED, cls.job
        folder = cls.service.folder / "images"
        subprocess.run([BIN / "cytopress", "datasets", "export", f"synthetic:{IMAGES}", "--count", "24",
                        "-o", folder], check=True, stdout=subprocess.DEVNULL)
        cls.pngs = [path.read_bytes() for path in sorted(pathlib.Path(folder).glob("*/*.png"))]

    def fails(self, code, call, *arguments):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception

    def classify(self, images, **fields):
        request = inference_pb2.ClassifyRequest(
            images=[inference_pb2.ImageInput(encoded=image) for image in images], **fields)
        return self.service.inference.Classify(request, timeout=CALL_SECONDS)

    def test_a_watch_sees_the_job_through_its_stages(self):
        self.assertEqual(self.submitted.state, job_pb2.JOB_STATE_QUEUED)
        fractions = [job.progress.fraction for job in self.watched]
        self.assertEqual(fractions, sorted(fractions))
        lengths = [len(job.ledger) for job in self.watched]
        self.assertEqual(lengths, sorted(lengths))
        stages = [entry.stage for entry in self.job.ledger]
        self.assertIn("train", stages)
        self.assertLess(stages.index("train"), stages.index("prune"))
        self.assertLess(stages.index("prune"), stages.index("quantize"))
        self.assertEqual(self.job.attempt, 1)

    def test_the_model_is_small_sparse_and_evaluated(self):
        name, version = self.job.model.split("@")
        model = self.service.models.GetModel(models_pb2.GetModelRequest(name=name),
                                             timeout=CALL_SECONDS)
        self.assertEqual((model.name, model.version), ("cells", int(version)))
        self.assertAlmostEqual(model.size.sparsity, 0.5, delta=0.01)
        self.assertLess(model.size.disk_bytes, model.size.dense_bytes / 3)
        self.assertEqual({e.split for e in model.evaluations}, {"val", "test"})
        for evaluation in model.evaluations:
            self.assertEqual(sum(evaluation.confusion), evaluation.images)
        self.assertTrue(model.provenance.synthetic_data)

    def test_classify_answers_all_classes_for_every_image(self):
        answer = self.classify(self.pngs, model="cells", top_k=-1)
        self.assertEqual(len(answer.results), len(self.pngs))
        self.assertEqual(answer.model, "cells")
        for result in answer.results:
            probabilities = [score.probability for score in result.classes]
            self.assertEqual(len(probabilities), 8)
            self.assertTrue(math.isclose(sum(probabilities), 1, abs_tol=1e-4))
            self.assertEqual(probabilities, sorted(probabilities, reverse=True))
        self.assertGreater(answer.timing.compute_seconds, 0)

    def test_an_image_scores_the_same_alone_and_among_others(self):
        together = self.classify(self.pngs, model="cells", top_k=-1)
        alone = self.classify(self.pngs[5:6], model="cells", top_k=-1)
        self.assertEqual(alone.results[0], together.results[5])

    def test_a_stream_answers_every_request_and_survives_a_bad_one(self):
        def item(number, image):
            request = inference_pb2.ClassifyRequest(
                images=[inference_pb2.ImageInput(encoded=image)], model="cells", top_k=-1)
            return inference_pb2.ClassifyStreamRequest(id=number, request=request)

        images = self.pngs[:10] + [b"no image"] + self.pngs[10:]
        answers = {
            answer.id: answer for answer in self.service.inference.ClassifyStream(
                (item(*pair) for pair in enumerate(images)), timeout=CALL_SECONDS)}
        self.assertEqual(set(answers), set(range(len(images))))
        self.assertEqual(answers[10].WhichOneof("outcome"), "error")
        self.assertEqual(answers[10].error.code, grpc.StatusCode.INVALID_ARGUMENT.value[0])
        together = self.classify(self.pngs, model="cells", top_k=-1)
        streamed = [answers[i].response.results[0] for i in range(len(images)) if i != 10]
        self.assertEqual(streamed, list(together.results))

    def test_a_bad_job_is_refused_with_its_field(self):
        spec = tiny_spec("cells")
        spec.recipe.prune.sparsity = 1.5
        error = self.fails(grpc.StatusCode.INVALID_ARGUMENT, self.service.compress, spec)
        info, bad_request = details(error)
        self.assertEqual(info.domain, "cytopress")
        fields = [violation.field for violation in bad_request.field_violations]
        self.assertEqual(fields, ["spec.recipe.prune.sparsity"])
        self.assertIn("1.5", bad_request.field_violations[0].description)

    def test_an_image_that_is_none_is_named(self):
        images = [self.pngs[0], b"no image", self.pngs[1]]
        error = self.fails(grpc.StatusCode.INVALID_ARGUMENT,
                           lambda: self.classify(images, model="cells"))
        _, bad_request = details(error)
        fields = [violation.field for violation in bad_request.field_violations]
        self.assertEqual(len(fields), 1)
        self.assertTrue(fields[0].startswith("images[1]"), fields)

    def test_what_is_not_there_is_not_found(self):
        self.fails(grpc.StatusCode.NOT_FOUND, self.service.get_job, "nothing")
        request = models_pb2.GetModelRequest(name="cells", version=99)
        self.fails(grpc.StatusCode.NOT_FOUND,
                   lambda: self.service.models.GetModel(request, timeout=CALL_SECONDS))

    def test_a_request_id_makes_one_job(self):
        again = self.service.compress(tiny_spec("cells", IMAGES), request_id="first")
        self.assertEqual(again.id, self.submitted.id)
        self.fails(grpc.StatusCode.ALREADY_EXISTS, self.service.compress, tiny_spec("others"), "first")

    def test_an_ended_job_cannot_be_cancelled(self):
        request = jobs_pb2.CancelJobRequest(id=self.submitted.id)
        self.fails(grpc.StatusCode.FAILED_PRECONDITION,
                   lambda: self.service.jobs.CancelJob(request, timeout=CALL_SECONDS))

    def test_health_and_reflection_answer(self):
        # The messages are written out by hand: their packages are not installed.
        check = self.service.channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b"", timeout=CALL_SECONDS), b"\x08\x01")  # status: SERVING
        reflect = self.service.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        answers = reflect(iter([b"\x3a\x00"]), timeout=CALL_SECONDS)  # list_services: ""
        self.assertIn(b"cytopress.v1.InferenceService", next(answers))

    def test_metrics_are_served(self):
        self.classify(self.pngs[:2], model="cells")
        url = f"http://127.0.0.1:{self.service.ready['metrics_port']}/metrics"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=CALL_SECONDS) as answer:
            text = answer.read().decode()
        self.assertIn("cytopress_", text)
        self.assertIn('model="cells"', text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
