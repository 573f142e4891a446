"""A run that is written here, without processing photos."""

import pytest

from pipeline.runs import RunPaths, commit, write_manifest_file
from pipeline.storage import write
from tests.support.curated_rows import HASHES, row


@pytest.fixture
def run(tmp_path):
    """A run of two shards: the second has a photo of the first again, changed since, and one that failed."""
    run = RunPaths(str(tmp_path / "run"))
    write(run.run_json, b"{}")
    first = [
        row(name, phash=code, noise=float(index), width=40 + index) for index, (name, code) in enumerate(HASHES.items())
    ]
    second = [
        row("c.jpg", 1, phash="5555aaaa5555aaaa", noise=50.0),
        row("bad.jpg", 1, status="failed", error_code="damaged", output_uri=None),
    ]
    for shard, rows in enumerate((first, second)):
        for each in rows:
            if each["output_uri"]:
                each["output_uri"] = str(tmp_path / "out" / each["file_name"])
                write(each["output_uri"], f"photo {each['file_name']} {shard}".encode())
        assert commit(run, shard, [write_manifest_file(run, f"{shard}.parquet", rows)])
    return run
