"""Imports go one way, rooms import each other through their public faces only, and libraries stay where they belong."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES, MAX_MODULES_BESIDE_ROOMS = 320, 6
FORBIDDEN_LIBRARIES = {
    "deepot": {"jobs", "pipeline", "ray", "fsspec", "s3fs", "pyarrow", "pydantic", "yaml", "tqdm", "argparse"},
    "pipeline": {"jobs", "tqdm", "argparse"},
    "jobs": {"ray", "fsspec", "s3fs", "torch", "diffusers"},
}
LIBRARIES_ONLY_IN = {
    "ray": {"pipeline.cluster", "pipeline.telemetry"},
    "c2pa": {"pipeline.provenance"},
    "cryptography": {"pipeline.provenance"},
    "fsspec": {"pipeline.storage"},
    "diffusers": {"deepot.autoencoder"},
    "opentelemetry": {"pipeline.telemetry"},
}
MAY_IMPORT = {
    "deepot.errors": ("", ""),
    "deepot.arguments": ("errors", ""),
    "deepot.fixed_order": ("", ""),
    "deepot.tiling": ("", ""),
    "deepot.photo": ("errors fixed_order", ""),
    "deepot.forensics": ("photo", ""),
    "deepot.spec": ("arguments errors", ""),
    "deepot.autoencoder": ("arguments errors fixed_order spec", ""),
    "deepot.restoration": ("autoencoder errors photo spec tiling", ""),
    "deepot.transport": ("arguments autoencoder errors fixed_order spec", ""),
    "deepot.inference": ("arguments autoencoder errors fixed_order photo restoration tiling transport", ""),
    "deepot.evaluation": ("autoencoder inference photo spec tiling transport", ""),
    "pipeline.progress": ("", ""),
    "pipeline.redaction": ("", ""),
    "pipeline.escaping": ("", ""),
    "pipeline.errors": ("errors", ""),
    "pipeline.failures": ("errors", "errors redaction"),
    "pipeline.imageio": ("errors photo spec", "errors"),
    "pipeline.storage": ("", "errors redaction"),
    "pipeline.config": ("arguments errors inference transport", "errors imageio redaction storage"),
    "pipeline.sources": ("", "config errors imageio storage"),
    "pipeline.inspection": (
        "forensics inference photo",
        "config errors escaping failures imageio progress sources storage",
    ),
    "pipeline.outputs": ("", "config errors imageio sources storage"),
    "pipeline.runs": ("inference", "config errors failures imageio outputs sources storage"),
    "pipeline.curation": ("errors transport", "errors imageio outputs progress redaction runs sources storage"),
    "pipeline.provenance": ("errors spec", "config errors escaping imageio progress redaction runs sources storage"),
    "pipeline.telemetry": ("", "config errors escaping progress redaction runs"),
    "pipeline.workers": (
        "autoencoder errors inference photo restoration transport",
        "config errors escaping failures imageio outputs redaction runs sources storage telemetry",
    ),
    "pipeline.calibration": (
        "autoencoder inference photo restoration transport",
        "config errors failures imageio progress runs sources storage workers",
    ),
    "pipeline.cluster": ("autoencoder spec", "config errors storage telemetry workers"),
    "pipeline.local": ("", "config errors telemetry workers"),
    "pipeline.exports": (
        "",
        "config curation errors imageio progress provenance runs sources storage",
    ),
    "pipeline.maintenance": (
        "inference photo",
        "calibration config errors imageio outputs progress runs sources storage workers",
    ),
    "pipeline.reporting": (
        "errors evaluation photo transport",
        "calibration errors escaping imageio runs sources storage",
    ),
    "pipeline.review": ("", "curation errors reporting runs sources storage"),
    "pipeline.stages": (
        "transport",
        "calibration cluster config errors imageio local progress reporting review runs sources storage telemetry "
        "workers",
    ),
    "pipeline.estimation": (
        "transport",
        "calibration config errors progress runs sources stages storage workers",
    ),
    "pipeline.preview": (
        "evaluation inference photo tiling transport",
        "calibration config errors failures imageio progress reporting sources stages storage workers",
    ),
    "pipeline.evaluation": (
        "errors evaluation inference photo restoration tiling transport",
        "calibration config errors failures imageio reporting sources stages storage workers",
    ),
}
"""Room, from the ground up → the rooms of deepot, and the rooms of pipeline, that it may import."""


def iter_rooms(package):
    return sorted(
        path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists() and path.name != "embedded"
    )


ROOMS = {f"{package}.{room}" for package in ("deepot", "pipeline") for room in iter_rooms(package)}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in FORBIDDEN_LIBRARIES
    for suffix in ("*.py", "*.pyi")  # the stub of a public face that is imported lazily replaces its __init__.py
    for path in sorted((ROOT / package).rglob(suffix))
}
STUBS = [path for path in MODULES.values() if path.suffix == ".pyi"]


def room_of(module):
    """The room, or the module beside the rooms, that a module belongs to."""
    return ".".join(module.split(".")[:2])


def iter_imports(path):
    """Modules that a file imports, and whether the import names a public face or a module beside the rooms."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == int(path in STUBS), f"{path}: relative import"  # lazy_loader takes relative ones only
            parents = path.relative_to(ROOT).parent.parts if node.level else ()
            module = ".".join([*parents, node.module])
            submodules = [f"{module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else module for name in submodules)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_its_layer_may_know(module):
    found = {name.partition(".")[0] for name in iter_imports(MODULES[module])}
    assert not found & FORBIDDEN_LIBRARIES[module.partition(".")[0]], f"{module} imports what its layer must not know"
    for library, allowed in LIBRARIES_ONLY_IN.items():
        assert library not in found or room_of(module) in allowed, f"{library} belongs into {allowed}"


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_other_rooms_through_their_public_face(module):
    for name in iter_imports(MODULES[module]):
        if room_of(name) in ROOMS and room_of(name) != room_of(module):
            assert name == room_of(name), f"{module} imports {name}: import from {room_of(name)}"


@pytest.mark.parametrize(
    "module", [name for name in MODULES if "." in name and not name.startswith("jobs") and name != "deepot.__main__"]
)
def test_room_imports_only_rooms_of_the_table(module):
    room = room_of(module)
    assert room in MAY_IMPORT or module == "deepot.embedded", f"{room} is not in the table"
    of_deepot, of_pipeline = MAY_IMPORT.get(room, ("", ""))
    allowed = {f"deepot.{name}" for name in of_deepot.split()} | {f"pipeline.{name}" for name in of_pipeline.split()}
    for name in iter_imports(MODULES[module]):
        if name.partition(".")[0] in ("deepot", "pipeline") and room_of(name) != room and "." in name:
            assert room_of(name) in allowed, f"{module} imports {name}"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_room_exports_a_sorted_public_face(room):
    face, declared = importlib.import_module(room), declared_names(MODULES[room])
    assert declared == sorted(set(declared), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert sorted(declared) == sorted(face.__all__)
    assert all(not name.startswith("_") and hasattr(face, name) for name in declared)


def declared_names(path):
    """`__all__` as it is written in a file."""
    nodes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    (names,) = [node.value for node in nodes if ast.unparse(node.targets[0]) == "__all__"]
    return ast.literal_eval(names)


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_public_face_with_a_stub_imports_nothing_by_itself(stub):
    found = set(iter_imports(stub.with_suffix(".py")))
    assert found - {"importlib.metadata"} == {"lazy_loader"}
    assert stub.read_text(encoding="utf-8").isascii(), "lazy_loader reads it in the encoding of the locale"
    modules = {path.stem for path in stub.parent.iterdir()}
    assert not modules & set(declared_names(stub)), "once such a module is imported, the name leads to it"


def test_there_are_no_import_cycles():
    edges = {name: {found for found in iter_imports(path) if found in MODULES} for name, path in MODULES.items()}
    done = set()

    def visit(name, path):
        assert name not in path, f"import cycle: {' → '.join([*path, name])}"
        if name not in done:
            for found in edges.get(name, ()):
                visit(found, [*path, name])
            done.add(name)

    for name in edges:
        visit(name, [])


@pytest.mark.parametrize("package", ["deepot", "pipeline"])
def test_few_modules_lie_beside_the_rooms(package):
    beside = [path for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"]
    assert len(beside) <= MAX_MODULES_BESIDE_ROOMS


def test_no_file_is_long():
    folders = ("deepot", "pipeline", "jobs", "tests", "tools", "benchmarks", "research")
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


UNPICKLING_LIBRARIES = {"cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "torch.jit.load", "torch.package", "eval", "exec"}
SAFE_IF = {"torch.load": "weights_only=True", "yaml.load": "BaseLoader"}
"""Call → what must stand among its arguments."""


@pytest.mark.parametrize("package", ["benchmarks", "deepot", "jobs", "pipeline", "research", "tools"])
def test_module_reads_no_file_in_a_way_that_runs_code(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        assert not {name.partition(".")[0] for name in iter_imports(path)} & UNPICKLING_LIBRARIES, path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                text, name = ast.unparse(node), ast.unparse(node.func)
                assert name not in UNSAFE_CALLS, f"{path}: {text}"
                assert SAFE_IF.get(name, "") in text, f"{path}: {text}"
                assert "allow_pickle=True" not in text, f"{path}: {text}"
                assert "trust_remote_code=True" not in text, f"{path}: {text}"
                if name.endswith(".from_pretrained"):
                    assert "use_safetensors=True" in text, f"{path}: {text}"
