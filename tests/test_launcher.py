"""Files of a user that shadow deepot's packages are named in one sentence, however the command is started."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

import deepot_launcher
from deepot_launcher import describe_shadowing, find_shadowing_files

ROOT = Path(__file__).resolve().parents[1]
CONSOLE_SCRIPT = ["-c", "import sys; from deepot_launcher import main; sys.exit(main())"]


def add_file(folder, name):
    path = folder / f"{name}.py"
    path.write_text("raise RuntimeError('a file of the user was run')\n")
    return path


def add_package(folder, name):
    add_folder(folder, name)
    (folder / name / "__init__.py").write_text("raise RuntimeError('a package of the user was run')\n")
    return folder / name


def add_folder(folder, name):
    """A folder without `__init__.py`."""
    (folder / name).mkdir(parents=True)
    return folder / name


def run_python(arguments, folder, *python_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, python_path))}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)


def assert_refused(done, path, package):
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"deepot: {path} shadows the package '{package}' of deepot: rename it")
    assert "a virtual environment of its own" in line
    assert done.stdout == ""


@pytest.mark.parametrize("add", [add_file, add_package])
@pytest.mark.parametrize("package", deepot_launcher.PACKAGES)
def test_command_with_a_shadowing_file_on_pythonpath_is_refused(tmp_path, add, package):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    path = add(plugins, package)
    assert_refused(run_python(["-P", *CONSOLE_SCRIPT, "--version"], tmp_path, plugins, ROOT), path, package)


@pytest.mark.parametrize("add", [add_file, add_package])
@pytest.mark.parametrize("package", deepot_launcher.PACKAGES)
def test_launcher_module_beside_a_shadowing_file_in_the_current_folder_is_refused(tmp_path, add, package):
    path = add(tmp_path, package)
    assert_refused(run_python(["-m", "deepot_launcher", "--version"], tmp_path, ROOT), path, package)


@pytest.mark.parametrize("add", [add_file, add_package])
@pytest.mark.parametrize("package", ["deepot", "pipeline"])
def test_module_of_jobs_beside_a_shadowing_file_in_the_current_folder_is_refused(tmp_path, add, package):
    path = add(tmp_path, package)
    assert_refused(run_python(["-m", "jobs.cli", "--version"], tmp_path, ROOT), path, package)


@pytest.mark.parametrize("module", ["deepot_launcher", "jobs.cli"])
def test_command_beside_files_of_other_names_runs(tmp_path, module):
    for name in ("plugin", "deepot_plugin", "pipelines"):
        add_file(tmp_path, name)
    done = run_python(["-m", module, "--version"], tmp_path, tmp_path, ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("deepot ")


def test_find_shadowing_files_ignores_folders_that_a_later_package_takes_precedence_over(tmp_path, monkeypatch):
    """Python prefers a package with `__init__.py` to an earlier folder without one."""
    add_folder(tmp_path, "pipeline")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(ROOT)])
    assert find_shadowing_files() == {}


def test_find_shadowing_files_names_a_folder_where_the_package_is_on_no_path(tmp_path, monkeypatch):
    """An editable install finds the package only after all folders of the path, so the folder comes first."""
    path = add_folder(tmp_path, "pipeline")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert find_shadowing_files() == {"pipeline": str(path)}


def test_find_shadowing_files_searches_the_first_folders_before_the_path(tmp_path):
    assert find_shadowing_files() == {}
    paths = {"deepot": str(add_file(tmp_path, "deepot")), "jobs": str(add_package(tmp_path, "jobs"))}
    assert find_shadowing_files([str(tmp_path)]) == paths
    assert describe_shadowing(paths).startswith(
        f"{paths['deepot']} shadows the package 'deepot' and {paths['jobs']} shadows the package 'jobs' of deepot: "
    )


def test_exit_if_shadowed_escapes_the_path(monkeypatch, capsys):
    monkeypatch.setattr(deepot_launcher, "find_shadowing_files", lambda: {"jobs": "/a\x1b[2J\nERROR forged/jobs.py"})
    with pytest.raises(SystemExit, match="2"):
        deepot_launcher.exit_if_shadowed()
    assert capsys.readouterr().err.startswith("deepot: /a\\x1b[2J\\nERROR forged/jobs.py shadows")


def test_main_collects_garbage_seldom_and_not_at_the_end(monkeypatch):
    """Searching all that a command imports for garbage takes a quarter of its start."""
    seen, before = [], gc.get_threshold()
    monkeypatch.setattr(deepot_launcher, "exit_if_shadowed", lambda: None)
    monkeypatch.setattr("jobs.cli.main", lambda: seen.append((gc.isenabled(), gc.get_threshold()[0])) or 0)
    monkeypatch.setattr(gc, "freeze", lambda: seen.append("frozen"))
    try:
        assert deepot_launcher.main() == 0
    finally:
        gc.set_threshold(*before)
    assert seen == [(True, 100_000), "frozen"]
