#!/usr/bin/env python3
"""What the files of deploy/ promise each other, and the programs: no server needed.

CYTOPRESS_SOURCE is the source folder; CYTOPRESS_BIN, where the programs are built.
"""

import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import dashboard_queries  # noqa: E402
import dockerfile  # noqa: E402

SOURCE = pathlib.Path(os.environ["CYTOPRESS_SOURCE"])
BIN = pathlib.Path(os.environ["CYTOPRESS_BIN"])
DEPLOY = SOURCE / "deploy"
STATE = "/var/lib/cytopress"


def load(path):
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def packages(group):
    lines = (DEPLOY / "packages.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines if line.split()[:1] == [group]}


def help_of(program, *command):
    return subprocess.run([BIN / program, *command, "--help"], check=True, capture_output=True,
                          text=True).stdout


def flags_of(program, *command):
    return set(re.findall(r"--[a-z][a-z-]*", help_of(program, *command)))


def flags_in(command):
    return {word.split("=")[0] for word in command if word.startswith("--")}


class ComposeTest(unittest.TestCase):
    def setUp(self):
        self.compose = load("docker-compose.yml")
        self.services = self.compose["services"]
        self.stages = dockerfile.stages((SOURCE / "Dockerfile").read_text(encoding="utf-8"))

    def test_services_restart_and_drop_privileges(self):
        self.assertEqual(set(self.services),
                         {"cytopressd", "worker", "worker-gpu", "prometheus", "grafana"})
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertEqual(service["restart"], "unless-stopped")
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertIn("no-new-privileges:true", service["security_opt"])
                self.assertNotIn("privileged", service)
                if name != "worker-gpu":
                    self.assertIs(service["read_only"], True)

    def test_our_containers_run_as_the_owner_of_the_state_volume(self):
        text = (SOURCE / "Dockerfile").read_text(encoding="utf-8")
        uid = re.search(r"useradd --uid (\d+)", text).group(1)
        for name in ("cytopressd", "worker", "worker-gpu"):
            self.assertEqual(self.services[name]["user"], f"{uid}:{uid}")
            self.assertIn(f"state:{STATE}", self.services[name]["volumes"])

    def test_our_containers_see_the_data_sets_under_one_path(self):
        for name in ("cytopressd", "worker", "worker-gpu"):
            self.assertIn("${CYTOPRESS_DATA:-./data}:/data:ro", self.services[name]["volumes"], name)

    def test_ports_are_published_on_loopback_only(self):
        published = [p for s in self.services.values() for p in s.get("ports", [])]
        self.assertGreaterEqual(len(published), 4)
        for port in published:
            self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_services_that_listen_have_health_checks(self):
        for name in ("cytopressd", "prometheus", "grafana"):
            check = self.services[name]["healthcheck"]
            self.assertEqual(check["test"][0], "CMD")
            self.assertLess(int(check["timeout"][:-1]), int(check["interval"][:-1]))

    def test_the_health_check_is_that_of_the_images_and_reads_no_model(self):
        check = self.services["cytopressd"]["healthcheck"]
        for name in ("serve", "serve-gpu"):
            flags, words = self.stages[name].last("HEALTHCHECK").split(" CMD ")
            self.assertEqual(json.loads(words), check["test"][1:])
            self.assertIn(f"--start-period={check['start_period']}", flags)
        program, command, *flags = check["test"][1:]
        self.assertEqual((program, command), ("cytopress", "jobs"))
        if not (BIN / program).exists():
            self.skipTest(f"{program} is not built here")
        self.assertEqual(flags_in(flags) - flags_of(program) - flags_of(program, command), set())

    def test_images_that_are_built_here_are_never_pulled(self):
        text = (SOURCE / "docs/operations.md").read_text(encoding="utf-8")
        for name, service in self.services.items():
            if "build" in service:
                self.assertEqual(service["pull_policy"], "never", name)
                self.assertEqual(service["image"], "localhost/cytopress/%s:${CYTOPRESS_TAG:-latest}" %
                                 service["build"]["target"])
        image = self.services["cytopressd"]["image"].replace("${CYTOPRESS_TAG:-latest}", "latest")
        self.assertEqual(text.count("docker run"), text.count(f"{image} -C /state"))

    def test_no_log_grows_without_bound(self):
        for name, service in self.services.items():
            self.assertEqual(service["logging"], {"driver": "local"}, name)

    def test_memory_is_bounded_and_a_worker_goes_first(self):
        server = self.services["cytopressd"]
        for name in ("worker", "worker-gpu"):
            self.assertEqual(self.services[name]["mem_limit"], "${CYTOPRESS_WORKER_MEMORY:-8g}")
            self.assertGreater(self.services[name]["oom_score_adj"], server.get("oom_score_adj", 0))
        text = (SOURCE / "server/classify_stream_reactor.cc").read_text(encoding="utf-8")
        streams = int(re.search(r"kMaxStreams = (\d+);", text).group(1))
        message, = (int(word.split("=")[1]) for word in server["command"]
                    if word.startswith("--max-message-mib="))
        gigabytes = int(re.fullmatch(r"(\d+)g", server["mem_limit"]).group(1))
        self.assertLessEqual(2 * streams * message, 1024 * gigabytes)

    def test_the_documented_tls_is_of_flags_and_variables_that_the_programs_know(self):
        text = (SOURCE / "docs/operations.md").read_text(encoding="utf-8")
        added = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE).group(1))
        for name in added:
            self.assertIn(name, {*self.services["cytopressd"], "environment"})
        if not (BIN / "cytopressd").exists() or not (BIN / "cytopress").exists():
            self.skipTest("the programs are not built here")
        self.assertEqual(flags_in(added["command"]) - flags_of("cytopressd"), set())
        variables = re.findall(r"\(Env:(\w+)\)", help_of("cytopress"))
        self.assertEqual(set(added["environment"]) - set(variables), set())

    def test_only_the_gpu_worker_is_behind_a_profile_and_reserves_a_gpu(self):
        self.assertEqual([n for n, s in self.services.items() if "profiles" in s], ["worker-gpu"])
        gpu = self.services["worker-gpu"]
        self.assertEqual(gpu["profiles"], ["gpu"])
        device, = gpu["deploy"]["resources"]["reservations"]["devices"]
        self.assertEqual((device["driver"], device["capabilities"]), ("nvidia", ["gpu"]))
        self.assertIn("libtorch", gpu["build"]["additional_contexts"])
        self.assertIn("libtorch", self.stages)

    def test_named_volumes_are_declared_and_mounted_files_exist(self):
        used = set()
        for service in self.services.values():
            for volume in service.get("volumes", []):
                source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
                if not source.startswith("."):
                    used.add(source)
                elif source != "./data":
                    self.assertTrue((DEPLOY / source).exists(), source)
        self.assertEqual(used, set(self.compose["volumes"]))

    def test_the_backup_is_of_the_volume_of_the_state(self):
        text = (SOURCE / "docs/operations.md").read_text(encoding="utf-8")
        self.assertIn("state", self.compose["volumes"])
        self.assertIn(f"--volume {self.compose['name']}_state:/state", text)

    def test_dependencies_exist(self):
        for service in self.services.values():
            for name in service.get("depends_on", []):
                self.assertIn(name, self.services)

    def test_built_services_name_stages_of_the_dockerfile(self):
        for service in self.services.values():
            if "build" in service:
                self.assertEqual((DEPLOY / service["build"]["context"]).resolve(), SOURCE.resolve())
                self.assertIn(service["build"]["target"], self.stages)

    def test_the_cuda_of_the_gpu_worker_can_be_chosen_and_is_the_dockerfiles_by_default(self):
        text = (SOURCE / "Dockerfile").read_text(encoding="utf-8")
        defaults = dict(re.findall(r"^ARG (CUDA_\w+)=(\S+)$", text, re.MULTILINE))
        self.assertEqual(self.services["worker-gpu"]["build"]["args"],
                         {name: f"${{CYTOPRESS_{name}:-{value}}}" for name, value in defaults.items()})

    def test_programs_know_the_flags_that_they_are_given(self):
        for name, program in (("cytopressd", "cytopressd"), ("worker", "cytopress-worker"),
                              ("worker-gpu", "cytopress-worker")):
            if not (BIN / program).exists():
                self.skipTest(f"{program} is not built here")
            known = flags_of(program)
            stage = self.stages[self.services[name]["build"]["target"]]
            self.assertEqual(flags_in(self.services[name]["command"]) - known, set())
            self.assertEqual(flags_in(stage.words("CMD")) - known, set())

    def test_server_and_workers_share_one_database(self):
        urls = {next(w for w in self.services[n]["command"] if w.startswith("--database="))
                for n in ("cytopressd", "worker", "worker-gpu")}
        self.assertEqual(urls, {f"--database=sqlite://{STATE}/jobs.db"})
        self.assertIn("--workers=0", self.services["cytopressd"]["command"])


class QuickstartTest(unittest.TestCase):
    """With --stop, which finds no service and installs nothing, or a function of it alone."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.photos = pathlib.Path(folder.name) / "photos"
        self.photos.mkdir()

    def stop(self, *flags):
        return subprocess.run(["bash", DEPLOY / "quickstart.sh", "--stop", "--state",
                               self.photos.parent / "state", *flags], capture_output=True, text=True)

    def test_photographs_have_to_lie_in_folders_of_classes(self):
        (self.photos / "one.png").touch()
        (self.photos / "notes").mkdir()
        (self.photos / "notes/one.txt").touch()
        for folder in (self.photos, self.photos / "missing"):
            refused = self.stop("--photos", folder)
            self.assertEqual(refused.returncode, 1, refused)
            self.assertIn(f"--photos {folder}: there is no photograph by class there", refused.stderr)

    def test_photographs_by_class_are_taken(self):
        (self.photos / "basophil").mkdir()
        (self.photos / "basophil/one.JPG").touch()
        taken = self.stop("--photos", self.photos)
        self.assertEqual(taken.returncode, 0, taken.stderr)

    def call(self, function, client="true"):
        """In the script's shell, where `client` is what the command line does."""
        commands = (f'source "$1"; state="$2/state"; dataset="$2/photos"; mkdir -p "$state"; '
                    f'client() {{ {client}; }}; {function}')
        return subprocess.run(["bash", "-c", commands, "bash", DEPLOY / "quickstart.sh",
                               self.photos.parent], capture_output=True, text=True)

    def test_only_images_that_are_not_for_the_ready_made_model_may_fail(self):
        for code in (0, 2, 3, 1, 4, 7, 130):
            step = self.call("classify_ready_made; echo goes on",
                             f'[[ "$1" == datasets ]] || return {code}')
            self.assertEqual("goes on" in step.stdout, code in (0, 2, 3, 7), step)
            self.assertEqual("is not for these images" in step.stdout, code in (2, 3), step)
            self.assertEqual(f"(exit code {code}, see above)" in step.stderr, code in (1, 4), step)
        no_images = self.call("classify_ready_made; echo goes on", '[[ "$1" != datasets ]] || return 2')
        self.assertEqual(no_images.returncode, 1, no_images)
        self.assertIn(f"there are no images of {self.photos} to classify", no_images.stderr)

    def test_a_job_whose_service_is_gone_is_asked_for_again(self):
        round_after = 'request_id() { echo id; }; (compress) || true; cat "$state/round" || echo same'
        self.assertEqual(self.call(round_after, "return 4").stdout, "same\n")
        self.assertEqual(self.call(round_after, "return 5").stdout, "2\n")

    def test_a_folder_that_gets_another_image_is_other_data(self):
        (self.photos / "basophil").mkdir()
        (self.photos / "basophil/one.png").touch()
        before = self.call('sizes_and_times "$dataset"').stdout
        self.assertEqual(before, self.call('sizes_and_times "$dataset"').stdout)
        (self.photos / "basophil/two.png").touch()
        self.assertNotEqual(before, self.call('sizes_and_times "$dataset"').stdout)
        self.assertEqual(self.call("sizes_and_times synthetic").stdout, "")


class DockerfileTest(unittest.TestCase):
    def setUp(self):
        self.stages = dockerfile.stages((SOURCE / "Dockerfile").read_text(encoding="utf-8"))

    def test_images_run_without_privileges_and_with_exec_form_commands(self):
        for name in ("serve", "serve-gpu", "worker", "worker-gpu"):
            self.assertEqual(self.stages[name].last("USER"), "cytopress")
            self.assertTrue(self.stages[name].words("ENTRYPOINT"))

    def test_the_default_image_is_the_serving_one(self):
        self.assertEqual(list(self.stages)[-1], "serve")
        self.assertIn("cytopress", self.stages["serve"].last("HEALTHCHECK"))

    def test_every_stage_and_file_that_is_copied_exists(self):
        ignore = (SOURCE / ".dockerignore").read_text(encoding="utf-8").splitlines()
        sent = {line[1:] for line in ignore if line.startswith("!")}
        for path in sent:
            self.assertTrue((SOURCE / path).exists(), path)
        for stage in self.stages.values():
            for copy in stage.copies():
                if copy.stage:
                    self.assertIn(copy.stage, self.stages)
                    continue
                for path in copy.sources:
                    self.assertTrue(path == "." or path in sent, path)

    def test_serving_needs_no_libtorch(self):
        self.assertFalse({p for p in packages("serve") if "torch" in p})
        self.assertTrue({p for p in packages("worker") if p.startswith("libtorch")})

    def test_whatever_trains_has_a_fast_blas(self):
        # No program names it, so the next test does not see when it is missing: libblas.so.3 is an
        # alternative that LibTorch loads, and the reference BLAS takes its place.
        for group in ("build", "worker"):  # deploy/quickstart.sh, the worker's image
            self.assertIn("libopenblas0-openmp", packages(group), group)
        self.assertIn("RUN /usr/local/share/cytopress/install.sh worker",
                      " ".join(f"{n} {t}" for n, t in self.stages["worker"].instructions))

    def test_the_images_have_the_libraries_that_the_programs_load(self):
        base = {"libc6", "libstdc++6", "libgcc-s1"}
        for program, groups in (("cytopressd", ["serve"]), ("cytopress", ["serve"]),
                                ("cytopress-worker", ["serve", "worker"])):
            if not (BIN / program).exists():
                self.skipTest(f"{program} is not built here")
            installed = base.union(*(packages(group) for group in groups))
            for library, owners in needed_packages(BIN / program).items():
                self.assertTrue(owners & installed,
                                f"{program} needs {library}: put {owners} into packages.txt, {groups}")


def needed_packages(program):
    """The libraries that `program` itself names, each with the packages that own it."""
    dynamic = subprocess.run(["readelf", "-d", program], check=True, capture_output=True,
                             text=True).stdout
    direct = set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic))
    loaded = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    # Packages record the path without the merged /usr, or with it.
    paths = {name: {path, os.path.realpath(path), path.removeprefix("/usr")}
             for name, path in re.findall(r"^\s*(\S+) => (\S+)", loaded, re.MULTILINE)
             if name in direct}
    # One question for all of them: each reads the lists of every package.
    answer = subprocess.run(["dpkg-query", "-S", *set().union(*paths.values())],
                            capture_output=True, text=True).stdout
    owners = {name: set() for name in paths}
    for line in answer.splitlines():
        package, path = re.match(r"([^:]+).*: (\S+)$", line).groups()
        for name in paths:
            if path in paths[name]:
                owners[name].add(package)
    return owners


class MonitoringTest(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads(
            (DEPLOY / "grafana/dashboards/cytopress.json").read_text(encoding="utf-8"))
        self.text = (SOURCE / "docs/metrics.md").read_text(encoding="utf-8")
        self.documented = set(re.findall(r"^\| `([a-z_]+)` \| (?:counter|gauge|histogram)", self.text,
                                         re.MULTILINE))

    def expressions(self):
        for query in dashboard_queries.dashboard_queries(self.dashboard, "1m"):
            yield query.expr
        for path in sorted((DEPLOY / "prometheus/rules").glob("*.yml")):
            for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
                for rule in group["rules"]:
                    yield rule["expr"]

    def test_the_dashboard_is_complete(self):
        self.assertEqual(list(dashboard_queries.dashboard_faults(self.dashboard)), [])

    def test_every_metric_that_is_asked_for_is_documented_and_the_reverse(self):
        used = set()
        for expr in self.expressions():
            for name in re.findall(r"\b(?:cytopress|process)_[a-z_]+", expr):
                used.add(re.sub(r"_(bucket|sum|count)$", "", name))
        self.assertEqual(used - self.documented, set())
        self.assertEqual(self.documented - used, set())

    def test_every_recorded_series_that_is_asked_for_is_recorded(self):
        recorded = {rule["record"] for group in load("prometheus/rules/recording.yml")["groups"]
                    for rule in group["rules"]}
        for expr in self.expressions():
            for name in re.findall(r"\bcytopress:\w+:\w+", expr):
                self.assertIn(name, recorded)

    def test_what_servers_share_is_not_summed_over_them(self):
        shared = r"cytopress_(?:worker_up|model_\w+|jobs|job_queue_\w+|training_images_per_second)\b"
        summed = re.compile(rf"\bsum\s*(?:by \((?![^)]*\binstance\b)[^)]*\)\s*)?\(\s*{shared}")
        self.assertRegex("sum by (device) (cytopress_worker_up)", summed)
        self.assertNotRegex("sum by (job, instance) (cytopress_worker_up)", summed)
        for expr in self.expressions():
            self.assertNotRegex(expr, summed)
        self.assertNotRegex(self.text, summed)

    def test_every_alert_is_documented_and_tested(self):
        tests = yaml.safe_load(
            (SOURCE / "tests/deploy/alerts_test.yml").read_text(encoding="utf-8"))["tests"]
        fires, silent = set(), set()
        for case in tests:
            for check in case.get("alert_rule_test", []):
                (fires if check.get("exp_alerts") else silent).add(check["alertname"])
        for group in load("prometheus/rules/alerts.yml")["groups"]:
            for rule in group["rules"]:
                with self.subTest(rule["alert"]):
                    self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                    self.assertRegex(self.text,
                                     rf"\| `{rule['alert']}` \| {rule['labels']['severity']} \|")
                    self.assertIn(rule["alert"], fires)
                    self.assertIn(rule["alert"], silent)

    def test_every_alert_says_what_to_do(self):
        for group in load("prometheus/rules/alerts.yml")["groups"]:
            for rule in group["rules"]:
                with self.subTest(rule["alert"]):
                    annotations = rule["annotations"]
                    self.assertEqual(set(annotations), {"summary", "description", "runbook"})
                    self.assertRegex(annotations["runbook"], r"^.{30,}\.$")
                    # A file that it sends to is there.
                    for path in re.findall(r"docs/\S+\.md", annotations["runbook"]):
                        self.assertTrue((SOURCE / path).exists(), path)

    def limit_of(self, alert):
        """The last number that the rule compares with."""
        rule, = (rule for group in load("prometheus/rules/alerts.yml")["groups"]
                 for rule in group["rules"] if rule["alert"] == alert)
        factors = re.search(r"[<>] ([\d. *]+)$", rule["expr"].strip()).group(1)
        return math.prod(float(factor) for factor in factors.split("*"))

    def marks_of(self, title, kind="timeseries"):
        panel, = (p for p in self.dashboard["panels"] if (p["title"], p["type"]) == (title, kind))
        return {step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}

    def test_panels_are_marked_where_alerts_fire(self):
        for title, alert in (("Resident memory", "CytopressMemoryHigh"),
                             ("Free disk space", "CytopressDiskLow"),
                             ("Longest wait", "CytopressQueueOld")):
            self.assertIn(self.limit_of(alert), self.marks_of(title), title)
        self.assertIn(self.limit_of("CytopressQueueOld"), self.marks_of("Longest wait", "stat"))
        self.assertIn(self.limit_of("CytopressCertificateExpires"),
                      self.marks_of("TLS certificate expires in", "stat"))
        limit = load("docker-compose.yml")["services"]["cytopressd"]["mem_limit"]
        self.assertIn(int(limit.removesuffix("g")) * 2**30, self.marks_of("Resident memory"))

    def test_the_chosen_servers_are_those_that_are_shown(self):
        for panel in dashboard_queries.panels_of(self.dashboard):
            for target in panel.get("targets", []):
                for series in dashboard_queries.selectors(target["expr"].replace("$__", "")):
                    # Objectives and alerts are of all servers.
                    if not series.startswith(("ALERTS", "cytopress:")):
                        self.assertIn('instance=~"$instance"', series, panel["title"])

    def test_grafana_is_provisioned_with_the_dashboard_and_the_scraping_prometheus(self):
        source, = load("grafana/provisioning/datasources/prometheus.yml")["datasources"]
        services = load("docker-compose.yml")["services"]
        self.assertEqual(source["url"], "http://prometheus:9090")
        self.assertIn("prometheus", services)
        self.assertEqual(source["jsonData"]["timeInterval"],
                         load("prometheus/prometheus.yml")["global"]["scrape_interval"])
        provider, = load("grafana/provisioning/dashboards/cytopress.yml")["providers"]
        self.assertIn(f"./grafana/dashboards:{provider['options']['path']}:ro",
                      services["grafana"]["volumes"])

    def test_prometheus_scrapes_the_metrics_port_of_the_composed_server(self):
        job, = load("prometheus/prometheus.yml")["scrape_configs"]
        target, = job["static_configs"][0]["targets"]
        host, port = target.split(":")
        command = load("docker-compose.yml")["services"][host]["command"]
        self.assertIn(f"--metrics-listen=0.0.0.0:{port}", command)


if __name__ == "__main__":
    unittest.main()
