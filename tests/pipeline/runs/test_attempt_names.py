"""Names of the files of one attempt: unique, in the order of shards, and known as those of their run."""

import pytest

from pipeline.runs.attempt_names import is_attempt_name, is_manifest_file_name, new_attempt_name
from pipeline.runs.paths import RunPaths

RUN, OTHER = RunPaths("s3://b/out/_deepot/0123456789abcdef"), RunPaths("s3://b/out/_deepot/fedcba9876543210")


def test_new_attempt_name_is_never_the_same():
    assert len({new_attempt_name(RUN, 2, 1) for _ in range(1000)}) == 1000


def test_new_attempt_name_sorts_by_shard():
    names = [new_attempt_name(RUN, shard, attempt) for shard in (0, 9, 10, 99_999) for attempt in (1, 2, 9)]
    assert sorted(names) == names
    assert all(name.startswith("00009-") for name in names[3:6])


@pytest.mark.parametrize(("shard", "attempt"), [(0, 1), (123_456, 12)])
def test_attempt_name_is_known_as_that_of_its_run_alone(shard, attempt):
    name = new_attempt_name(RUN, shard, attempt)
    assert is_attempt_name(RUN, name) and not is_attempt_name(OTHER, name)
    assert is_manifest_file_name(RUN, f"{name}.parquet")
    for other in (name[1:], name[:-1], name + "0", f"x{name}", f"{name}\n", name.replace("-", "_"), f"sub/{name}"):
        assert (shard > 99_999 and other == name[1:]) or not is_attempt_name(RUN, other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("00002-1-3f2a91bc.parquet", True),
        ("00002-1-01234567-0123456789ab.parquet", True),
        ("00002-1-fedcba98-0123456789ab.parquet", False),
        ("00002.parquet", False),
        ("00002-1.parquet", False),
        ("00002-1-notes.parquet", False),
        ("00002-1-3f2a91bc.parquet.bak", False),
    ],
)
def test_manifest_file_name_is_one_of_this_or_an_earlier_version(name, expected):
    assert is_manifest_file_name(RUN, name) is expected
