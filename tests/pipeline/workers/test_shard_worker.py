"""Work items of every kind of photo through a shard worker, without Ray."""

import io
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.curation.score_columns import SCORE_COLUMNS
from pipeline.errors import StorageError
from pipeline.imageio.image_file import decode
from pipeline.storage.objects import read
from pipeline.workers import photo_reader, result_writer, shard_worker
from pipeline.workers.shard_worker import ShardWorker
from pipeline.workers.work_item import WorkItem
from tests.support.fake_autoencoders import UNEXPECTED_ERRORS
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.tiff_files import block_mean, encode_pyramid_tiff, read_page, read_segments

MAX_PIXELS = 10**9


@pytest.fixture
def rows_of(make_worker_config):
    """Processes the images of a job as one shard; returns its rows by file name."""

    def process(**changes):
        config, entries = make_worker_config(**changes)
        manifest_file = ShardWorker(config).process(WorkItem(0, entries))
        table = pq.read_table(io.BytesIO(read(config.run.manifest(manifest_file.name))))
        return {row["file_name"]: row for row in table.to_pylist()}

    return process


@pytest.fixture
def kinds(tmp_path):
    """Writes the corpus as files; returns their kinds by name."""
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    decode(PHOTO_KINDS[0].make(), MAX_PIXELS)  # registers the plugins
    folder = tmp_path / "kinds"
    folder.mkdir()
    for kind in PHOTO_KINDS:
        (folder / kind.name).write_bytes(kind.make())
    return {kind.name: kind for kind in PHOTO_KINDS}


def test_process_with_alpha_one_returns_every_photo_unchanged(rows_of, kinds, tmp_path):
    rows = rows_of(input={"images": str(tmp_path / "kinds")}, transport={"alpha": 1})
    assert rows.keys() == kinds.keys()
    for name, row in rows.items():
        assert (row["status"], row["delta_e"], row["mean_colour_delta_e"]) == ("ok", 0, 0), (name, row["error_message"])
        before = decode((tmp_path / "kinds" / name).read_bytes(), MAX_PIXELS)
        after = decode(read(row["output_uri"]), MAX_PIXELS)
        assert row["pages"] == len(before.pages)
        if kinds[name].lossless:
            for page, same in zip(before.pages, after.pages, strict=True):
                np.testing.assert_array_equal(same.samples, page.samples, err_msg=name)


def test_process_changes_every_photo_and_keeps_its_properties(rows_of, kinds, tmp_path):
    unmarked = {"uri": str(tmp_path / "enhanced"), "marks": "off"}  # a mark would add EXIF to photos without any
    rows = rows_of(input={"images": str(tmp_path / "kinds")}, transport={"mode": "residual"}, output=unmarked)
    for name, row in rows.items():
        assert row["status"] == "ok", (name, row["error_message"])
        before = decode((tmp_path / "kinds" / name).read_bytes(), MAX_PIXELS)
        after = decode(read(row["output_uri"]), MAX_PIXELS)
        assert after.properties == before.properties | {"mode": kinds[name].result_mode or before.properties["mode"]}
        assert name == "one.png" or row["delta_e"] > 0.1
        assert row["mean_colour_delta_e"] < row["delta_e"] + 0.5
        for page, same in zip(before.pages, after.pages, strict=True):
            if name != "one.png":
                assert not np.array_equal(same.samples, page.samples), name
            if page.alpha is not None and kinds[name].lossless:
                np.testing.assert_array_equal(same.alpha, page.alpha)
                hidden = page.alpha == 0
                np.testing.assert_array_equal(same.samples[hidden], page.samples[hidden], err_msg=name)


def test_process_makes_reduced_pages_from_the_result_and_copies_masks(rows_of, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.tif").write_bytes(encode_pyramid_tiff())
    row = rows_of(input={"images": str(folder)}, transport={"mode": "residual"})["a.tif"]
    assert (row["status"], row["pages"], row["other_pages"]) == ("ok", 1, "2 reduced, 1 transparency mask")
    before, after = (folder / "a.tif").read_bytes(), read(row["output_uri"])
    samples = read_page(after, 0)
    assert not np.array_equal(samples, read_page(before, 0))
    for path, factor in (((0, 0), 2), ((1,), 4)):
        np.testing.assert_allclose(read_page(after, *path), block_mean(samples, factor), atol=1)
    assert read_segments(after, 2) == read_segments(before, 2)


def test_process_without_scores_leaves_their_columns_empty_and_writes_the_same_results(rows_of, tmp_path):
    scored, unscored = (
        rows_of(output={"uri": str(tmp_path / f"out-{scores}"), "scores": scores}) for scores in (True, False)
    )
    assert scored.keys() == unscored.keys() and scored
    for name, row in scored.items():
        assert {column for column in row if (row[column] is None) != (unscored[name][column] is None)} == set(
            SCORE_COLUMNS
        )
        assert row["output_sha256"] == unscored[name]["output_sha256"]
        assert unscored[name]["invented"] == row["invented"] > 0


def test_process_to_a_format_of_one_page_writes_the_photo_alone(rows_of, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.tif").write_bytes(encode_pyramid_tiff())
    row = rows_of(
        input={"images": str(folder)}, output={"uri": str(tmp_path / "out"), "format": "jpeg"}, transport={"alpha": 1}
    )["a.tif"]
    assert (row["status"], row["other_pages"]) == ("ok", "2 reduced, 1 transparency mask")
    assert decode(read(row["output_uri"]), MAX_PIXELS).pixels.width == row["width"] == 64


def test_process_to_a_format_fails_photos_that_it_cannot_hold(rows_of, kinds, tmp_path):
    rows = rows_of(
        input={"images": str(tmp_path / "kinds")}, output={"uri": str(tmp_path / "out"), "format": "jpeg:quality=60"}
    )
    assert rows["rgb.png"]["output_uri"].endswith("rgb.png.jpg")
    for name in ("16bit-rgb.png", "rgba.png", "pages.tif"):
        assert (rows[name]["status"], rows[name]["error_code"]) == ("failed", "unsupported_output")
        assert rows[name]["width"] and rows[name]["delta_e"] is None, "it is known before the work"


@pytest.mark.parametrize(
    "odd",
    [
        {"autoencoder": "tests.support.fake_autoencoders:raising_unexpected"},
        {"restorer": "tests.support.fake_autoencoders:raising_restorer"},
    ],
)
def test_process_with_a_model_that_raises_fails_only_that_image(rows_of, tmp_path, caplog, make_job, odd):
    make_job()
    for side in ("restored", "natural"):
        for number in range(len(UNEXPECTED_ERRORS)):
            grey = (10 * number + 10,) * 3
            Image.new("RGB", (48, 36), grey).save(tmp_path / side / f"odd {number}.png")
    rows = rows_of(**odd)
    failed = {name: row["error_code"] for name, row in rows.items() if row["status"] != "ok"}
    assert failed == {f"odd {number}.png": "internal" for number in range(len(UNEXPECTED_ERRORS))}
    assert len(rows) == 6 + len(UNEXPECTED_ERRORS)
    assert caplog.text.count("(internal: ") == len(UNEXPECTED_ERRORS), "and the calibration leaves them out"


def test_process_with_an_encoder_that_raises_fails_only_that_image(rows_of, monkeypatch):
    encode_marked = result_writer.encode_marked

    def encode_or_raise(photo, *arguments):
        if photo.properties["width"] == 20:
            raise struct.error("argument out of range")
        return encode_marked(photo, *arguments)

    monkeypatch.setattr(result_writer, "encode_marked", encode_or_raise)
    load_photo = photo_reader._load_photo

    def load_narrow(entry, *options):
        found = load_photo(entry, *options)
        if entry.key == "photo 01.png":
            found.photo.properties["width"] = 20
        return found

    monkeypatch.setattr(photo_reader, "_load_photo", load_narrow)
    rows = rows_of()
    failed = [(name, row["error_code"], row["error_message"]) for name, row in rows.items() if row["status"] != "ok"]
    assert failed == [("photo 01.png", "internal", "argument out of range")]


@pytest.fixture
def counted(monkeypatch):
    """Status and code of each image as they are counted in the metrics."""
    found = []
    monkeypatch.setattr(
        shard_worker, "record_image", lambda row: found.append((row["file_name"], row["status"], row["error_code"]))
    )
    return found


def test_process_counts_every_image_once_as_its_row_says(rows_of, counted, tmp_path, make_job):
    make_job()
    (tmp_path / "restored" / "broken.png").write_bytes(b"no photo")
    rows = rows_of()
    assert sorted(counted) == sorted((name, row["status"], row["error_code"]) for name, row in rows.items())
    assert ("broken.png", "failed", "not_an_image") in counted and len(counted) == 7


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_process_counts_images_as_failed_if_their_shard_file_cannot_be_written(
    rows_of, counted, monkeypatch, tmp_path, caplog, layout
):
    def refuse(uri, *_):
        raise StorageError(f"{uri}: no space left")

    monkeypatch.setattr(f"pipeline.outputs.{layout}_writer.write", refuse)
    rows = rows_of(output={"uri": str(tmp_path / "out"), "layout": layout})
    assert {(row["status"], row["error_code"]) for row in rows.values()} == {("failed", "write_failed")}
    assert all(row["output_uri"] is row["output_sha256"] is row["output_bytes"] is None for row in rows.values())
    assert sorted(counted) == sorted((name, "failed", "write_failed") for name in rows)
    assert caplog.text.count("no space left") == len(rows)


def test_process_counts_nothing_if_the_manifest_file_cannot_be_written(rows_of, counted, monkeypatch):
    def refuse(*_):
        raise StorageError("no space left")

    monkeypatch.setattr(shard_worker, "write_manifest_file", refuse)
    with pytest.raises(StorageError, match="no space left"):
        rows_of()
    assert counted == []


def test_process_of_a_pilot_run_with_a_companion_needs_no_weight(rows_of):
    rows = rows_of(restorer="tests.support.fake_restorers:noisy", transport={"alpha": 2, "companion": "input"})
    assert {(row["status"], row["companion_weight"]) for row in rows.values()} == {("ok", 0.0)}
