"""Names of results: no two inputs get the same one, and most names stay as they are."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.maintenance.verify import verify_run
from pipeline.outputs.naming import is_parquet_row_key, original_key_for, output_key_for
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from tests.support.image_files import encode_image, encode_tiff
from tests.support.in_process_pool import run_in_process
from tests.support.photos import make_photo

FORMATS = ["same", "png", "jpeg:quality=80", "tiff", "jpeg2000", "heif"]
PIECES = ["scan", ".", ".png", ".PNG", ".tif", ".tiff", ".jpg", ".jpeg", ".jp2", ".gif", ".dng", "/", "x.parquet/"]
NAMES = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=5).map("".join)


def test_short_names_get_different_results():
    keys = {"".join(pieces) for count in range(5) for pieces in itertools.product(PIECES, repeat=count)}
    for format_spec in ("same", "png", "jpeg"):
        assert len({output_key_for(key, format_spec) for key in keys}) == len(keys)


@given(st.sets(NAMES.filter(lambda name: not is_parquet_row_key(name)), max_size=30), st.sampled_from(FORMATS))
def test_any_names_and_their_results_get_different_results(keys, format_spec):
    pytest.importorskip("pillow_heif")
    with_results = keys | {output_key_for(key, format_spec) for key in keys}
    assert len({output_key_for(key, format_spec) for key in with_results}) == len(with_results)


@given(st.sets(NAMES.filter(lambda name: not is_parquet_row_key(name)), max_size=20), st.sampled_from(FORMATS[:5]))
def test_results_and_originals_of_different_names_never_meet(keys, format_spec):
    """Whichever of the photos are rejected: a result or an original of one is nothing of another."""
    names = [{output_key_for(key, format_spec), original_key_for(key, format_spec)} for key in keys]
    assert len(set().union(*names)) == sum(map(len, names))


@pytest.mark.parametrize(
    ("key", "format_spec", "expected"),
    [
        ("a.tif", "png", "a.tif"),
        ("a.tif", "same", "a.tif"),
        ("a", "png", "a"),
        ("a.PNG", "png", "a.PNG"),
        ("a.tif.png", "png", "a.tif.png.png"),
    ],
)
def test_original_key_is_the_name_of_the_input_unless_a_result_may_have_it(key, format_spec, expected):
    assert original_key_for(key, format_spec) == expected


@pytest.mark.parametrize(
    ("key", "format_spec", "expected"),
    [
        ("a/2019.05 scan.PNG", "png", "a/2019.05 scan.PNG"),
        ("a.tif", "png", "a.tif.png"),
        ("a.tif.png", "png", "a.tif.png.png"),
        ("a", "png", "a.png.png"),
        ("a.jpeg", "jpeg", "a.jpeg"),
        ("a.tif.png", "same", "a.tif.png"),
        ("a", "same", "a"),
        ("p.parquet/00000007", "png", "p.parquet/00000007.png"),
        ("p.parquet/00000007.png", "png", "p.parquet/00000007.png"),
    ],
)
def test_output_key_keeps_names_that_are_unambiguous(key, format_spec, expected):
    assert output_key_for(key, format_spec) == expected


@pytest.mark.parametrize("format_spec", ["png", "same"])
def test_inputs_that_differ_by_an_extension_have_two_results(make_job, tmp_path, format_spec):
    job = make_job(3, output={"uri": str(tmp_path / "enhanced"), "format": format_spec})
    folder = tmp_path / "restored"
    (folder / "scan.tif").write_bytes(encode_tiff(np.asarray(make_photo(1))))
    for number, name in enumerate(["scan.tif.png", "x.jpg.png", "x.jpg"]):
        (folder / name).write_bytes(encode_image(make_photo(number), "PNG"))
    result = run_in_process(job)
    rows = read_manifest(RunPaths(result.run)).to_pylist()
    assert (result.ok, len({row["output_uri"] for row in rows})) == (7, 7)
    assert verify_run(RunPaths(result.run), NullProgress()).findings == ()
