"""A built wheel has every module and data file, and each module imports from it without the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("deepot", "pipeline", "jobs")
LAUNCHER = "deepot_launcher.py"
DATA_FILES = {
    "deepot/py.typed",
    "pipeline/py.typed",
    "pipeline/reporting/report.html.j2",
    "pipeline/reporting/viewer.js",
}
IMPORT_ALL = """
import importlib, sys, traceback
failed = False
for name in sys.argv[2:]:
    try:
        module = importlib.import_module(name)
    except Exception:
        traceback.print_exc()
        failed = True
    else:
        if not module.__file__.startswith(sys.argv[1]):
            print(f"{name} comes from {module.__file__}", file=sys.stderr)
            failed = True
from jobs.cli import _build_parser
from pipeline.reporting import PreviewPage, PreviewSetting, render_preview
import deepot
render_preview(PreviewPage("a", (), (PreviewSetting("b", "c"),), 0))
deepot.load_autoencoder("embedded", device="cpu")
sys.exit(failed)
"""


def list_sources():
    return {LAUNCHER} | {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory):
    """The content of a wheel that setuptools builds, without a network, from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", LAUNCHER):
        shutil.copy(ROOT / name, source)
    for package in (*PACKAGES, "tests"):  # tests must not get into the wheel
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", build], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_wheel_has_every_module_and_data_file_and_nothing_else(unpacked_wheel):
    packed = {str(path.relative_to(unpacked_wheel)) for path in unpacked_wheel.rglob("*") if path.is_file()}
    packed = {name for name in packed if ".dist-info/" not in name}
    assert packed == list_sources()
    assert packed >= DATA_FILES
    assert {name for name in packed if name.endswith(".safetensors")}, "the embedded weights"


def test_wheel_has_the_command_and_the_licence(unpacked_wheel):
    (info,) = unpacked_wheel.glob("*.dist-info")
    assert "deepot = deepot_launcher:main" in (info / "entry_points.txt").read_text()
    assert list(info.rglob("LICENSE"))


@pytest.mark.timeout(900)  # imports torch and Ray in a new process
def test_every_module_imports_from_the_wheel_without_the_checkout(unpacked_wheel, tmp_path):
    modules = sorted(
        ".".join(Path(name).with_suffix("").parts).removesuffix(".__init__")
        for name in list_sources()
        if name.endswith(".py")
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # -S leaves out .pth files, through which an editable install would find the checkout
    paths = [str(unpacked_wheel), *(path for path in sys.path if "site-packages" in path)]
    done = subprocess.run(
        [sys.executable, "-S", "-c", IMPORT_ALL, str(unpacked_wheel), *modules],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
