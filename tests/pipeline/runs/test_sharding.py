"""Costs of images by their names and bytes, and shards of about the same cost."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.runs.sharding import estimate_cost, estimate_costs, split_into_shards
from pipeline.storage.objects import Entry

NAMES = st.text(max_size=6) | st.sampled_from(
    ["a.b/c", "a.JPG", "a.tif", "a\n.HEIC", ".png", "x.", "ſ.tif", "p.parquet/7"]
)


@example([("a.jpg", 2**53), ("a.PNG", 0), ("", 1)])
@given(st.lists(st.tuples(NAMES, st.integers(0, 2**40)), max_size=20))
def test_estimate_costs_gives_the_cost_of_each_entry(images):
    entries = [Entry(f"s3://b/{key}", key, size, "", 0.0) for key, size in images]
    keys, sizes = (
        pa.array([each.key for each in entries], pa.string()),
        pa.array([each.size for each in entries], pa.int64()),
    )
    assert estimate_costs(keys, sizes).to_pylist() == [estimate_cost(each) for each in entries]


def entries(count, size=1):
    return [Entry(f"u{i}", f"k{i:04d}", size, "", 0.0) for i in range(count)]


def test_split_into_shards_depends_on_the_listing_alone():
    assert [len(shard.entries) for shard in split_into_shards(entries(10), 4)] == [4, 4, 2]
    assert {len(shard.entries) for shard in split_into_shards(entries(640))} == {10}
    assert max(len(shard.entries) for shard in split_into_shards(entries(100_000))) == 32
    assert len(list(split_into_shards(entries(4, size=400 * 2**20), 4))) == 4, "a shard holds a bounded number of bytes"


def sized(*megapixels, suffix="jpg"):
    return [Entry(f"u{i}", f"k{i:04d}.{suffix}", int(each * 5e5), "", 0.0) for i, each in enumerate(megapixels)]


def test_split_into_shards_makes_shards_of_about_the_same_cost():
    """A short listing of 64 times as much as a shard is to hold, in which large and small photos are mixed."""
    listed = sized(*[0.2, 0.2, 0.2, 24.0, 0.5, 12.0, 1.0, 6.0] * 60)
    shards = list(split_into_shards(listed))
    costs = [sum(map(estimate_cost, shard.entries)) for shard in shards]
    assert [entry for shard in shards for entry in shard.entries] == listed
    assert 50 <= len(shards) <= 90
    mean = sum(costs) / len(costs)
    assert max(costs) < 2 * mean, "at most half of the largest photo more than it should"
    assert len(next(split_into_shards(sized(*[100.0] * 3000))).entries) == 4, "of a long one, some 384 megapixels"
    assert [len(shard.entries) for shard in split_into_shards(sized(*[1.0] * 3000))][:3] == [32, 32, 32]
    assert [len(shard.entries) for shard in split_into_shards(sized(900, 900, *[1.0] * 3000))][:3] == [1, 1, 32]
    assert [len(shard.entries) for shard in split_into_shards(sized(90, 1, 1, 90), 2)] == [2, 2], (
        "a number that is asked for is kept"
    )


@pytest.mark.parametrize(
    ("size", "names", "shards"),
    [
        (1, ["0.a.png", "0.b.png", "1.a.png", "1.b.png", "1.c.png", "2.a.png", "2.b.png"], [5, 2]),
        (1, [f"scan.{number:02d}.png" for number in range(14)], [11, 3]),
        (1, ["m.x/0.png", "m.x/1.png", "m.x/2.png", "m.x/3.png", "m.x/4.png", "m.x/5.png", "m.x/6.png"], [3, 3, 1]),
        (400 * 2**20, ["0.a.png", "0.b.png", "0.c.png"], [2, 1]),
    ],
)
def test_split_into_shards_keeps_webdataset_samples_together(size, names, shards):
    listed = [Entry(f"/x.tar#{number}+9/{name}", f"x.tar/{name}", size, "", 0.0) for number, name in enumerate(names)]
    assert [len(shard.entries) for shard in split_into_shards(listed, 3)] == shards
    files = [Entry(f"/{name}", name, 1, "", 0.0) for name in names]
    assert max(len(shard.entries) for shard in split_into_shards(files, 3)) == 3, "files are cut anywhere"


def test_estimate_cost_depends_on_the_format_that_the_name_says():
    (jpeg,), (tiff,), (unknown,) = sized(8), sized(8, suffix="TIF"), sized(8, suffix="scan")
    assert estimate_cost(jpeg) == estimate_cost(unknown) > 3 * estimate_cost(tiff)
    assert estimate_cost(jpeg) == pytest.approx(8e6, rel=0.01)
    assert estimate_cost(Entry("u", "member without size", 0, "", 0.0)) > 0
