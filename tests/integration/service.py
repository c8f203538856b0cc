"""Starts the real cytopressd with its worker, on ports that are free, in a folder of its own.

CYTOPRESS_BIN is where the programs are built; the stubs of proto/ must be on PYTHONPATH.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import grpc

from cytopress.v1 import inference_pb2_grpc, job_pb2, jobs_pb2, jobs_pb2_grpc, models_pb2_grpc
from cytopress.v1 import network_pb2, recipe_pb2

BIN = pathlib.Path(os.environ["CYTOPRESS_BIN"])
START_SECONDS = 60
STOP_SECONDS = 60
JOB_SECONDS = 400
CALL_SECONDS = 30

ENDED = {job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED}


def wait_until(what, condition, seconds):
    """Returns what `condition` returns once that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not within {seconds} s")


def processes_with(text):
    """Ids of the processes that have `text` in their command lines."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if any(text in word for word in command):
            found.append((int(folder.name), pathlib.Path(command[0]).name))
    return found


class Service:
    """One state folder and the service on it, which may be killed and started again."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cytopress-integration-"))
        self.state = self.folder / "state"
        self.process = None
        self.port = None  # kept over restarts, so that clients find the service again

    def start(self):
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        with open(self.folder / "cytopressd.log", "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "cytopressd", "--listen", f"127.0.0.1:{self.port or 0}",
                 "--metrics-listen", "127.0.0.1:0", "--state", self.state, "--ready-file", ready,
                 "--zoo", "", "--workers", "1", "--worker-binary", BIN / "cytopress-worker"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ports():
            if self.process.poll() is not None:
                raise RuntimeError(f"cytopressd ended with {self.process.returncode}:\n{self.log()}")
            return ready.exists() and json.loads(ready.read_text(encoding="utf-8"))

        self.ready = wait_until("cytopressd is ready", ports, START_SECONDS)
        self.port = self.ready["port"]
        self.channel = grpc.insecure_channel(
            self.address(),
            options=[("grpc.max_reconnect_backoff_ms", 500), ("grpc.enable_http_proxy", 0)])
        self.jobs = jobs_pb2_grpc.JobServiceStub(self.channel)
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)
        self.inference = inference_pb2_grpc.InferenceServiceStub(self.channel)
        return self

    def address(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        return (self.folder / "cytopressd.log").read_text(encoding="utf-8", errors="replace")

    def worker_pids(self):
        return [pid for pid, name in processes_with(str(self.state)) if name == "cytopress-worker"]

    def kill(self):
        """As a crash or a power cut ends it."""
        self.channel.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Returns the exit code; nothing of the service is left afterwards."""
        self.channel.close()
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def remove(self):
        """Ends what still runs on the state folder and deletes it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid, _ in processes_with(str(self.state)):
            os.kill(pid, signal.SIGKILL)
        wait_until("all processes end", lambda: not processes_with(str(self.state)), STOP_SECONDS)
        shutil.rmtree(self.folder)

    def compress(self, spec, request_id=""):
        request = jobs_pb2.CompressRequest(spec=spec, request_id=request_id)
        return self.jobs.Compress(request, timeout=CALL_SECONDS)

    def get_job(self, job_id):
        return self.jobs.GetJob(jobs_pb2.GetJobRequest(id=job_id), timeout=CALL_SECONDS)

    def wait_for_end(self, job_id):
        """Asks again and again, over the service's absence too."""
        def ended():
            try:
                job = self.get_job(job_id)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNAVAILABLE:
                    return None
                raise
            return job if job.state in ENDED else None
        return wait_until(f"job {job_id} ends", ended, JOB_SECONDS)

    def cytopress(self, *arguments):
        """Runs the command line against this service."""
        return subprocess.run([BIN / "cytopress", "--server", self.address(), *map(str, arguments)],
                              capture_output=True, text=True, check=False, timeout=JOB_SECONDS)


def tiny_spec(name, images=400, epochs=1, **recipe):
    """A job of seconds: the smallest network on drawn cells."""
    training = recipe_pb2.TrainOptions(epochs=epochs, batch_size=32)
    return job_pb2.JobSpec(
        model_name=name,
        dataset=job_pb2.DatasetSource(uri=f"synthetic:{images}"),
        network=network_pb2.NetworkSpec(architecture="resnet20"),
        recipe=recipe_pb2.Recipe(
            train=training,
            prune=recipe_pb2.PruneOptions(sparsity=0.5),
            finetune=recipe_pb2.TrainOptions(epochs=1, batch_size=32, learning_rate=0.005),
            quantize=recipe_pb2.QuantizeOptions(weights=network_pb2.WEIGHT_TYPE_INT8,
                                                calibration_images=64),
            **recipe))
