"""The estimated costs of images by their names and sizes."""

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.runs.sharding import estimate_cost, estimate_costs
from pipeline.storage.objects import Entry

NAMES = st.text(max_size=6) | st.sampled_from(
    ["a.b/c", "a.JPG", "a.tif", "a\n.HEIC", ".png", "x.", "ſ.tif", "p.parquet/7"]
)


@example([("a.jpg", 2**53), ("a.PNG", 0), ("", 1)])
@given(st.lists(st.tuples(NAMES, st.integers(0, 2**40)), max_size=20))
def test_estimate_costs_of_many_images_equals_estimate_cost_of_each(images):
    entries = [Entry(f"s3://b/{key}", key, size, "", 0.0) for key, size in images]
    keys, sizes = (
        pa.array([each.key for each in entries], pa.string()),
        pa.array([each.size for each in entries], pa.int64()),
    )
    assert estimate_costs(keys, sizes).to_pylist() == [estimate_cost(each) for each in entries]
