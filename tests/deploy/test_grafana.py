"""The dashboard shows every metric and no unknown one."""

import json
import re
from pathlib import Path

from pipeline.telemetry.prometheus_metrics import METRICS

FILE = Path(__file__).resolve().parents[2] / "deploy" / "grafana.json"
RAYS_OWN = {"ray_node_gpus_utilization": {"ip", "GpuIndex"}}
KNOWN = {metric.prometheus_name: {"run", "name", *metric.tags} for metric in METRICS} | RAYS_OWN


def queries():
    board = json.loads(FILE.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return asked, [each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"]


def test_dashboard_queries_every_metric_and_no_other():
    asked, variables = queries()
    names = {name for query in asked + variables for name in re.findall(r"\bray_\w+", query)}
    assert names == set(KNOWN)
    assert all(re.search(r"\bray_\w+", query) for query in asked)


def test_dashboard_queries_use_known_labels_and_rates_of_counters_only():
    asked, variables = queries()
    counters = {metric.prometheus_name for metric in METRICS if metric.is_counter}
    for query in (part for each in asked + variables for part in each.split(" / ")):
        for name, inside, after in re.findall(r"\b(ray_\w+)(?:\{(.*?)\})?(.?)", query):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", inside))
            if found := re.search(r"by \(([^)]*)\)", query):
                labels |= {label.strip() for label in found[1].split(",")}
            assert labels <= KNOWN[name], query
            assert (after == "[") == (name in counters), query


def test_dashboard_panels_do_not_overlap():
    board = json.loads(FILE.read_text())
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24 and not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
