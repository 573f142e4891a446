"""The order of system calls on which the disk's state after a power failure depends, as strace sees it.

A file's name is durable once its folder was synced after the rename or link; its content once the file was synced.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
_CALL = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. \w+ resumed>|(?P<name>\w+)\()(?P<arguments>.*)")
_SYNCED = re.compile(r"\d+<(?P<path>[^>]*)>")
_PATHS = re.compile(r'"([^"]*)"')


class Call(NamedTuple):
    """A system call that has succeeded.

    Attributes:
        name: fsync, rename or link, without the suffixes of its variants.
        paths: what it was called with: the file or folder; or the old and the new name.
        started: the line of the log where it starts.
        ended: the line where it has returned.
    """

    name: str
    paths: tuple[str, ...]
    started: int
    ended: int


def read_calls(log):
    """Read the log of `strace -f -y`; a call during which another thread was logged has two lines."""
    calls, unfinished = [], {}
    for number, line in enumerate(log.splitlines()):
        found = _CALL.match(line)
        if found is None:
            continue
        pid, name, arguments = found.group("pid", "name", "arguments")
        started = number
        if name is None:
            name, arguments_before, started = unfinished.pop(pid)
            arguments = arguments_before + arguments
        if arguments.endswith("<unfinished ...>"):
            unfinished[pid] = name, arguments.removesuffix("<unfinished ...>"), started
        elif arguments.endswith(" = 0"):
            paths = [_SYNCED.match(arguments)["path"]] if name == "fsync" else _PATHS.findall(arguments)
            kind = next(kind for kind in ("fsync", "rename", "link") if name.startswith(kind))
            calls.append(Call(kind, tuple(paths), started, number))
    return calls


def trace(command, log, **options):
    """Run a command under strace; returns its calls."""
    traced = "trace=fsync,rename,renameat,renameat2,link,linkat"
    subprocess.run(["strace", "-f", "-y", "-s", "4096", "--seccomp-bpf", "-e", traced, "-o", log, *command],
                   check=True, capture_output=True, **options)  # fmt: skip
    return read_calls(log.read_text())


@pytest.fixture(scope="module")
def strace():
    """Skips where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    done = subprocess.run(["strace", "-f", "-e", "trace=fsync", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"processes cannot be traced here: {done.stderr.strip().splitlines()[-1]}")


def write_job(folder):
    generator = np.random.default_rng(0)
    for number in range(6):
        path = folder / "in" / f"box {number // 4}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8)).save(path)
    job = {
        "input": str(folder / "in"),
        "output": str(folder / "out"),
        "calibration": {"degradation": "blur:sigma=1"},
        "autoencoder": "tests.support.fake_autoencoders:shuffle",
        "transport": {"patch_size": 1},
        "compute": {"pool": "local", "workers": 1, "images_per_shard": 3},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    return folder / "job.yaml"


def test_folders_of_results_are_synced_before_their_manifest_file_and_this_before_its_commit(strace, tmp_path):
    job = write_job(tmp_path)
    calls = trace(
        [sys.executable, "-m", "jobs.cli", "run", str(job), "--allow-code"],
        tmp_path / "strace.log",
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    placed = [call for call in calls if call.name != "fsync"]
    synced = [call for call in calls if call.name == "fsync"]
    results = [call for call in placed if Path(call.paths[1]).suffix == ".png"]
    manifests = [call for call in placed if "/manifest/" in call.paths[1]]
    commits = [call for call in placed if "/commits/" in call.paths[1] and call.paths[1].endswith(".json")]
    assert (len(results), len(manifests), len(commits)) == (6, 2, 2)

    def durable(call):
        """The line of the log where a new name is durable for the first time."""
        folder = os.path.dirname(call.paths[1])
        return min(sync.ended for sync in synced if sync.paths[0] == folder and sync.started > call.ended)

    for call in (*results, *manifests, *commits):
        assert any(sync.paths[0] == call.paths[0] and sync.ended < call.started for sync in synced), "content first"
    folders = set()
    for manifest in manifests:
        table = pq.read_table(manifest.paths[1])
        (commit,) = (call for call in commits if int(Path(call.paths[1]).stem) == table["shard"][0].as_py())
        earlier = [call for call in results if call.paths[1] in table["output_uri"].to_pylist()]
        assert len(earlier) == 3
        assert all(durable(result) < manifest.started for result in earlier), "names of results before the manifest"
        assert durable(manifest) < commit.started, "the manifest before its commit"
        folders.update((manifest, os.path.dirname(result.paths[1])) for result in earlier)
    below = [sync.paths[0] for sync in synced if sync.paths[0].startswith(str(tmp_path / "out" / "box "))]
    assert len([path for path in below if not path.endswith(".partial")]) == len(folders) == 3, "once for each shard"


def test_read_calls_joins_calls_that_threads_interrupt_and_leaves_out_those_that_failed():
    log = """\
7 fsync(5</out/a.partial>) = 0
8 rename("/out/a.partial", "/out/a" <unfinished ...>
7 link("/x", "/y") = -1 EEXIST (File exists)
8 <... rename resumed>) = 0
7 +++ exited with 0 +++
"""
    assert read_calls(log) == [
        Call("fsync", ("/out/a.partial",), 0, 0),
        Call("rename", ("/out/a.partial", "/out/a"), 1, 3),
    ]
