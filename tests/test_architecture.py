"""Imports go one way, jobs → pipeline → deepot, and each package leaves the others' libraries alone."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "deepot": {"jobs", "pipeline", "ray", "fsspec", "s3fs", "pyarrow", "pydantic", "yaml", "tqdm", "argparse"},
    "pipeline": {"jobs", "tqdm", "argparse"},
    "jobs": {"ray", "fsspec", "s3fs", "torch", "diffusers"},
}
ONLY_IN = {
    "ray": {
        "pipeline/cluster/worker_actor.py",
        "pipeline/cluster/session.py",
        "pipeline/cluster/dispatcher.py",
        "pipeline/telemetry/prometheus_metrics.py",
        "pipeline/cluster/actor_pool.py",
    },
    "fsspec": {"pipeline/storage/objects.py", "pipeline/storage/listing.py", "pipeline/storage/atomic.py"},
    "diffusers": {"deepot/autoencoder/loading.py"},
}
MODULES = sorted(path for package in FORBIDDEN for path in (ROOT / package).rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    found = {name.partition(".")[0] for name in imports(path)}
    place = path.relative_to(ROOT).as_posix()
    assert not found & FORBIDDEN[place.partition("/")[0]], f"{place} imports what its layer must not know"
    for library, allowed in ONLY_IN.items():
        assert library not in found or place in allowed, f"{library} belongs into {allowed}"


def test_there_are_no_cycles():
    edges = {}
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        edges[name] = {found for found in imports(path) if found.partition(".")[0] in FORBIDDEN}

    def visit(name, path):
        assert name not in path, f"import cycle: {' → '.join([*path, name])}"
        for found in edges.get(name, ()):
            visit(found, [*path, name])

    for name in edges:
        visit(name, [])
