#!/usr/bin/env python3
"""Every query of the dashboard and of the rules returns data from the real programs.

Starts cytopressd, a worker and Prometheus, trains and publishes a tiny model on drawn cells, classifies
some of them all the while, and then asks. CYTOPRESS_SOURCE is the source folder, CYTOPRESS_BIN where
the programs are built.
"""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc
import yaml

from cytopress.v1 import inference_pb2, inference_pb2_grpc

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import dashboard_queries  # noqa: E402

SOURCE = pathlib.Path(os.environ["CYTOPRESS_SOURCE"])
BIN = pathlib.Path(os.environ["CYTOPRESS_BIN"])
DASHBOARD = SOURCE / "deploy/grafana/dashboards/cytopress.json"
RULES = sorted(str(path) for path in (SOURCE / "deploy/prometheus/rules").glob("*.yml"))
START_SECONDS = 60
JOB_SECONDS = 600
DATA_SECONDS = 90


def free_port():
    """One that was free a moment ago: Prometheus does not tell which it took."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def fetch(port, path):
    """The body, or None while there is no good answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()


class Programs:
    """The running system, in one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.certificate = self.folder / "server.pem"
        self.rpc = self.metrics = self.prometheus = None
        self.started = []

    def start(self, name, *command):
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        log.close()
        self.started.append((name, process))

    def start_all(self):
        state = self.folder / "state"
        database = f"sqlite://{state}/jobs.db"
        ready = self.folder / "ready.json"
        # With TLS, for the metric of its certificate.
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days=365",
                        "-subj=/CN=localhost", "-addext=subjectAltName=IP:127.0.0.1",
                        f"-keyout={self.folder}/server.key", f"-out={self.certificate}"],
                       check=True, capture_output=True)
        self.start("cytopressd", BIN / "cytopressd", "--listen=127.0.0.1:0",
                   "--metrics-listen=127.0.0.1:0", f"--state={state}", f"--database={database}",
                   f"--ready-file={ready}", "--workers=0", "--zoo", "",
                   f"--tls-cert={self.certificate}", f"--tls-key={self.folder}/server.key")
        self.wait_until(ready.exists)
        ports = json.loads(ready.read_text(encoding="utf-8"))
        self.rpc, self.metrics = ports["port"], ports["metrics_port"]
        self.start("worker", BIN / "cytopress-worker", f"--database={database}",
                   f"--models={state}/models", f"--work={state}/work", "--device=cpu",
                   "--threads=2", "--name=tester")
        while not self.start_prometheus():
            pass

    def start_prometheus(self):
        """False when somebody took its port meanwhile."""
        self.prometheus = free_port()
        self.start("prometheus", "prometheus", f"--config.file={self.prometheus_config()}",
                   f"--storage.tsdb.path={self.folder}/tsdb",
                   f"--web.listen-address=127.0.0.1:{self.prometheus}")
        try:
            self.wait_until(lambda: fetch(self.prometheus, "/-/ready") is not None)
        except AssertionError as error:
            if "address already in use" not in str(error):
                raise
            self.started.pop()
            return False
        return True

    def prometheus_config(self):
        """The one that is shipped, with our target, and quicker."""
        path = SOURCE / "deploy/prometheus/prometheus.yml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(path.parent / name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [
            {"targets": [f"127.0.0.1:{self.metrics}"]}]
        written = self.folder / "prometheus.yml"
        written.write_text(yaml.safe_dump(config), encoding="utf-8")
        return written

    def wait_until(self, ready):
        """For the program that was started last."""
        name, process = self.started[-1]
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline or process.poll() is not None:
                raise AssertionError(f"{name} did not start:\n{self.log(name)}")
            time.sleep(0.05)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def stop_all(self):
        for _, process in reversed(self.started):
            process.terminate()
        for _, process in self.started:
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def cli(self, *words, timeout=60):
        return subprocess.run([BIN / "cytopress", f"--server=127.0.0.1:{self.rpc}", *words],
                              capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, "CYTOPRESS_TLS_CA": str(self.certificate)})


class Traffic(threading.Thread):
    """Classifies until it is stopped: rates want requests between scrapes.

    By the command line, which streams, and by single requests, which the latency objective is about.
    """

    def __init__(self, programs, images):
        super().__init__(daemon=True)
        self.programs, self.images = programs, images
        self.stopping = threading.Event()
        self.answered = 0
        self.failure = None

    def run(self):
        try:
            self.classify()
        except Exception as error:
            self.failure = error

    def classify(self):
        image = next(pathlib.Path(self.images).rglob("*.png")).read_bytes()
        request = inference_pb2.ClassifyRequest(
            model="tiny", images=[inference_pb2.ImageInput(encoded=image)])
        credentials = grpc.ssl_channel_credentials(self.programs.certificate.read_bytes())
        with grpc.secure_channel(f"127.0.0.1:{self.programs.rpc}", credentials,
                                 options=[("grpc.enable_http_proxy", 0)]) as channel:
            inference = inference_pb2_grpc.InferenceServiceStub(channel)
            while not self.stopping.wait(0.2):
                result = self.programs.cli("classify", "--model=tiny", self.images)
                self.answered += result.returncode == 0
                inference.Classify(request, timeout=60)

    def stop(self):
        """Raises what has ended it before."""
        self.stopping.set()
        self.join()
        if self.failure is not None:
            raise self.failure


class LiveDashboardTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cytopress-dashboard-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.programs = Programs(cls.folder.name)
        cls.addClassCleanup(cls.programs.stop_all)
        cls.programs.start_all()
        cls.must("compress", "--name=tiny", "--dataset=synthetic:400", "--architecture=resnet18",
                 "--stem=stride2", "--epochs=1", "--finetune-epochs=1", "--max-images=200",
                 "--sparsity=0.5", "--weights=int8", timeout=JOB_SECONDS)
        images = f"{cls.folder.name}/images"
        cls.must("datasets", "export", "synthetic:400", "--split=test", "--count=8",
                 f"--output={images}")
        cls.traffic = Traffic(cls.programs, images)
        cls.traffic.start()
        cls.addClassCleanup(cls.traffic.stop)

    @classmethod
    def must(cls, *words, timeout=60):
        result = cls.programs.cli(*words, timeout=timeout)
        if result.returncode != 0:
            raise AssertionError(
                f"cytopress {' '.join(words)}: exit code {result.returncode}\n{result.stdout[-2000:]}"
                f"\n{result.stderr}\nworker:\n{cls.programs.log('worker')}"
                f"\nserver:\n{cls.programs.log('cytopressd')}")

    def test_every_query_returns_data(self):
        result = subprocess.run(
            [sys.executable, pathlib.Path(__file__).parent / "dashboard_queries.py",
             f"--prometheus=http://127.0.0.1:{self.programs.prometheus}",
             f"--dashboard={DASHBOARD}", "--expect-data", "--rate-interval=30s",
             f"--wait={DATA_SECONDS}", "--range=60", "--rules", *RULES],
            capture_output=True, text=True, env={**os.environ, "no_proxy": "127.0.0.1"})
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertGreater(self.traffic.answered, 0)

    def test_every_error_that_the_rules_count_has_its_series_before_the_first(self):
        # rate() sees nothing in the birth of a series.
        rules = (SOURCE / "deploy/prometheus/rules/recording.yml").read_text(encoding="utf-8")
        codes, = set(re.findall(r'code=~"([A-Z_|]+)"', rules))
        text = fetch(self.programs.metrics, "/metrics")
        for code in ["OK", *codes.split("|")]:
            for method in ("Classify", "ClassifyStream"):
                self.assertIn(f'cytopress_requests_total{{code="{code}",method="{method}"}}', text)
            self.assertIn(f'cytopress_stream_messages_total{{code="{code}"}}', text)

    def test_the_server_exports_what_is_documented_and_nothing_else(self):
        text = (SOURCE / "docs/metrics.md").read_text(encoding="utf-8")
        documented = dict(re.findall(
            r"^\| `([a-z_]+)` \| (counter|gauge|histogram)", text, re.MULTILINE))
        deadline = time.monotonic() + DATA_SECONDS
        while True:
            exported = dict(re.findall(r"^# TYPE (\S+) (\S+)$",
                                       fetch(self.programs.metrics, "/metrics"), re.MULTILINE))
            # The HTTP server's own figures are the library's business.
            exported = {n: t for n, t in exported.items() if not n.startswith("exposer_")}
            if exported == documented or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self.assertEqual(exported, documented)


if __name__ == "__main__":
    for program in ("cytopressd", "cytopress-worker", "cytopress"):
        if not (BIN / program).exists():
            sys.exit(f"{BIN / program} is not built")
    unittest.main(verbosity=2)
