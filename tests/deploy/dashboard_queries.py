#!/usr/bin/env python3
"""Runs every query of a Grafana dashboard, and of rule files, against a Prometheus.

  dashboard_queries.py --prometheus http://127.0.0.1:9090 \\
      --dashboard deploy/grafana/dashboards/cytopress.json \\
      --rules deploy/prometheus/rules/*.yml --expect-data

A query that Prometheus refuses is an error. With --expect-data each panel's query, each variable's
query and each recorded metric must also return a number, and every series that an alert reads must
exist (the alert itself had better not fire); --wait gives them time to. Without --prometheus only the
files are checked. Needs python3-yaml for --rules.
"""

import argparse
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# What stands between metric names in PromQL.
WORDS = {
    "and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset",
    "bool", "inf", "nan",
}
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^{}]*\})?(?!\s*\(|[a-zA-Z0-9_:])")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
RANGE = re.compile(r"\[[^\[\]]*\]")
# A zero for want of data.
ZERO = re.compile(r" or (?:on\s*\(\) )?vector\(0\)$")


class Query:
    def __init__(self, where, expr, instant):
        self.where = where
        self.expr = " ".join(expr.split())
        self.instant = instant


class Prometheus:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **parameters):
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from None

    def has_number(self, query, seconds):
        now = time.time()
        if query.instant:
            data = self.get("/api/v1/query", query=query.expr, time=now)
        else:
            data = self.get("/api/v1/query_range", query=query.expr, start=now - seconds, end=now,
                            step=max(1, seconds / 100))
        for series in data["result"]:
            samples = series.get("values") or [series["value"]]
            if any(math.isfinite(float(value)) for _, value in samples):
                return True
        return False


def panels_of(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def substitute(expr, variables, interval):
    """Writes `expr` as Grafana would send it with "All" chosen in every variable."""
    values = {"__rate_interval": interval, "__interval": interval, "__range": interval}
    values.update(variables)

    def value(match):
        name = match.group(1) or match.group(2)
        if name not in values:
            raise ValueError(f"unknown variable ${name} in: {expr}")
        return values[name]

    return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", value, expr)


def variables_of(dashboard):
    return {v["name"]: v.get("allValue") or ".*" for v in dashboard["templating"]["list"]
            if v["type"] == "query"}


def variable_queries(dashboard, interval):
    known = variables_of(dashboard)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", variable["query"]["query"])
        if not match:
            raise ValueError(f"variable {variable['name']}: only label_values() is understood")
        selector, label = match.groups()
        yield Query(f"variable {variable['name']}",
                    f"count by ({label}) ({substitute(selector, known, interval)})", True)


def dashboard_queries(dashboard, interval):
    known = variables_of(dashboard)
    for panel in panels_of(dashboard):
        for target in panel.get("targets", []):
            where = f"panel '{panel['title']}' {target['refId']}"
            expr = substitute(target["expr"], known, interval)
            yield Query(where, expr, bool(target.get("instant")))
            # A zero for want of data shows well and proves nothing. Silent alerts are as it should be.
            if ZERO.search(expr) and "ALERTS" not in expr:
                yield Query(f"{where}, without the zero", ZERO.sub("", expr), True)


def selectors(expr):
    """The series selectors in a PromQL expression."""
    expr = RANGE.sub("", GROUPING.sub(" ", " ".join(expr.split())))
    found = []
    for name, labels in SELECTOR.findall(expr):
        if labels or name not in WORDS:
            found.append(name + labels)
    return found


def rule_queries(path):
    import yaml
    with open(path, encoding="utf-8") as file:
        groups = yaml.safe_load(file)["groups"]
    for group in groups:
        for rule in group["rules"]:
            if "record" in rule:
                yield Query(f"rule {rule['record']}", rule["expr"], True)
                yield Query(f"rule {rule['record']}, as recorded", rule["record"], True)
                continue
            # An alert that is silent returns nothing; what it reads must be there.
            yield Query(f"alert {rule['alert']}", f"count({rule['expr']}) or vector(0)", True)
            for selector in selectors(rule["expr"]):
                yield Query(f"alert {rule['alert']} reads {selector}", selector, True)


def dashboard_faults(dashboard):
    """What a person would miss in a panel."""
    for panel in panels_of(dashboard):
        if panel["type"] == "row":
            continue
        title = panel.get("title")
        if not title:
            yield f"panel {panel['id']} has no title"
        if not panel.get("description"):
            yield f"panel '{title}' has no description"
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"panel '{title}' has no unit"
        if not panel.get("targets"):
            yield f"panel '{title}' has no query"
        for holder in [panel] + panel.get("targets", []):
            if holder.get("datasource", {}).get("uid") != "${datasource}":
                yield f"panel '{title}' does not follow the variable datasource"
        for target in panel.get("targets", []):
            if not target.get("legendFormat"):
                yield f"panel '{title}' {target['refId']} has no legend"
            if re.search(r"\bby\s*\(.* or vector\(0\)$", target["expr"]):
                yield (f"panel '{title}' {target['refId']} shows a zero beside its series, which have "
                       "labels that vector(0) lacks: write `or on() vector(0)`")
    ids = [panel["id"] for panel in panels_of(dashboard)]
    if len(ids) != len(set(ids)):
        yield "two panels share an id"
    yield from overlaps(panels_of(dashboard))


def overlaps(panels):
    taken = {}
    for panel in panels:
        grid = panel["gridPos"]
        if grid["x"] + grid["w"] > 24:
            yield f"panel '{panel['title']}' is wider than the grid"
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                if taken.setdefault((x, y), panel) is not panel:
                    yield f"panels '{panel['title']}' and '{taken[x, y]['title']}' overlap"
                    return


def run(prometheus, queries, expect_data, wait, seconds):
    """Prints a line a query and returns the number of failures."""
    deadline = time.monotonic() + wait
    waiting, failures = list(queries), 0
    while waiting:
        empty = []
        for query in waiting:
            try:
                has_number = prometheus.has_number(query, seconds)
            except ValueError as error:
                print(f"REFUSED {query.where}: {error}\n        {query.expr}")
                failures += 1
                continue
            if has_number or not expect_data:
                print(f"{'ok     ' if has_number else 'no data'} {query.where}")
            else:
                empty.append(query)
        waiting = empty
        if waiting and time.monotonic() > deadline:
            for query in waiting:
                print(f"NO DATA {query.where}\n        {query.expr}")
            return failures + len(waiting)
        if waiting:
            time.sleep(1)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", help="its address, http://HOST:PORT")
    parser.add_argument("--dashboard", required=True)
    parser.add_argument("--rules", nargs="*", default=[])
    parser.add_argument("--expect-data", action="store_true")
    parser.add_argument("--rate-interval", default="1m", help="for $__rate_interval (default 1m)")
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for data (default 0)")
    parser.add_argument("--range", type=float, default=300, help="seconds shown (default 300)")
    arguments = parser.parse_args()

    with open(arguments.dashboard, encoding="utf-8") as file:
        dashboard = json.load(file)
    faults = list(dashboard_faults(dashboard))
    for fault in faults:
        print(f"FAULT   {fault}")
    queries = list(variable_queries(dashboard, arguments.rate_interval))
    queries += dashboard_queries(dashboard, arguments.rate_interval)
    for path in arguments.rules:
        queries += rule_queries(path)
    failures = len(faults)
    if arguments.prometheus:
        failures += run(Prometheus(arguments.prometheus), queries, arguments.expect_data,
                        arguments.wait, arguments.range)
    print(f"{len(queries)} queries, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
