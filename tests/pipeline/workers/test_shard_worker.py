"""A shard of every kind of photo through a worker, without Ray."""

import io
import struct
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import calibration
from pipeline.calibration.maps import find_map_uri, fit_and_store_map
from pipeline.config.loading import parse_job
from pipeline.errors import ConfigError
from pipeline.imageio.image_file import decode
from pipeline.progress import NullProgress
from pipeline.sources.find import find_images
from pipeline.stages.driver import RunOptions, open_run
from pipeline.storage.objects import Entry, read
from pipeline.workers import shard_worker as shard
from pipeline.workers.shard_worker import IoThreads, ShardWorker, WorkerConfig, WorkItem
from tests.support.fake_autoencoders import UNEXPECTED_ERRORS
from tests.support.image_corpus import PHOTO_KINDS

LOTS = 10**9


@pytest.fixture
def rows_of(make_job, tmp_path):
    """Do a job's images as one shard; returns its rows by name."""

    def do(**changes):
        opened = open_run(make_job(**changes), RunOptions(allow_code=True))
        job, run = opened.job, opened.run
        pending = calibration.make_moments_tasks(job, opened.calibration, True, opened.excluded_folders)
        sides = calibration.compute_moments(
            pending, lambda function, tasks: [function(task) for task in tasks], NullProgress()
        )
        transport = fit_and_store_map(job, opened.calibration, opened.models.autoencoder, *sides)
        setup = WorkerConfig(
            job,
            True,
            run,
            job.output.uri,
            opened.fingerprint,
            find_map_uri(job, opened.calibration),
            transport.sha256,
        )
        entries = tuple(find_images(job.input.images, "input", opened.excluded_folders))
        part = ShardWorker(setup).process(WorkItem(0, entries))
        return {row["file_name"]: row for row in pq.read_table(io.BytesIO(read(run.manifest(part.name)))).to_pylist()}

    return do


@pytest.fixture
def kinds(tmp_path):
    """The corpus as files; returns their kinds by name."""
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    decode(PHOTO_KINDS[0].make(), LOTS)  # registers the plugins
    folder = tmp_path / "kinds"
    folder.mkdir()
    for kind in PHOTO_KINDS:
        (folder / kind.name).write_bytes(kind.make())
    return {kind.name: kind for kind in PHOTO_KINDS}


def test_alpha_one_gives_every_photo_back(rows_of, kinds, tmp_path):
    rows = rows_of(input={"images": str(tmp_path / "kinds")}, transport={"alpha": 1})
    assert rows.keys() == kinds.keys()
    for name, row in rows.items():
        assert (row["status"], row["delta_e"], row["mean_colour_delta_e"]) == ("ok", 0, 0), (name, row["error_message"])
        before = decode((tmp_path / "kinds" / name).read_bytes(), LOTS)
        after = decode(read(row["output_uri"]), LOTS)
        assert row["pages"] == len(before.pages)
        if kinds[name].lossless:
            for page, same in zip(before.pages, after.pages, strict=True):
                np.testing.assert_array_equal(same.samples, page.samples, err_msg=name)


def test_every_photo_is_changed_and_keeps_its_kind(rows_of, kinds, tmp_path):
    rows = rows_of(input={"images": str(tmp_path / "kinds")}, transport={"mode": "residual"})
    for name, row in rows.items():
        assert row["status"] == "ok", (name, row["error_message"])
        before = decode((tmp_path / "kinds" / name).read_bytes(), LOTS)
        after = decode(read(row["output_uri"]), LOTS)
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


def test_a_format_with_options_and_what_it_cannot_hold(rows_of, kinds, tmp_path):
    rows = rows_of(
        input={"images": str(tmp_path / "kinds")}, output={"uri": str(tmp_path / "out"), "format": "jpeg:quality=60"}
    )
    assert rows["rgb.png"]["output_uri"].endswith("rgb.png.jpg")
    for name in ("16bit-rgb.png", "rgba.png", "pages.tif"):
        assert (rows[name]["status"], rows[name]["error_code"]) == ("failed", "unsupported_output")


@pytest.mark.parametrize(
    "odd",
    [
        {"autoencoder": "tests.support.fake_autoencoders:raising_unexpected"},
        {"restorer": "tests.support.fake_autoencoders:raising_restorer"},
    ],
)
def test_whatever_an_image_makes_a_model_raise_is_a_matter_of_that_image(rows_of, tmp_path, caplog, make_job, odd):
    make_job()
    for side in ("restored", "natural"):
        for number in range(len(UNEXPECTED_ERRORS)):
            grey = (10 * number + 10,) * 3
            Image.new("RGB", (48, 36), grey).save(tmp_path / side / f"odd {number}.png")
    rows = rows_of(**odd)
    failed = {name: row["error_code"] for name, row in rows.items() if row["status"] != "ok"}
    assert failed == {f"odd {number}.png": "internal" for number in range(len(UNEXPECTED_ERRORS))}
    assert len(rows) == 6 + len(UNEXPECTED_ERRORS)
    assert caplog.text.count("(internal: ") == len(UNEXPECTED_ERRORS), "and the calibration goes on without them"


def test_whatever_an_image_makes_an_encoder_raise_is_a_matter_of_that_image(rows_of, monkeypatch):
    encode = shard.encode

    def odd(photo, *arguments):
        if photo.properties["width"] == 20:
            raise struct.error("argument out of range")
        return encode(photo, *arguments)

    monkeypatch.setattr(shard, "encode", odd)
    read_ = shard._load_photo

    def narrow(entry, limits):
        found = read_(entry, limits)
        if entry.key == "photo 01.png":
            found.photo.properties["width"] = 20
        return found

    monkeypatch.setattr(shard, "_load_photo", narrow)
    rows = rows_of()
    told = [(name, row["error_code"], row["error_message"]) for name, row in rows.items() if row["status"] != "ok"]
    assert told == [("photo 01.png", "internal", "argument out of range")]


def test_formats_that_cannot_be_meant():
    for form, message in (
        ("jpg", "did you mean 'jpeg'"),
        ("jpeg:quality=0", "between 1 and 100"),
        ("png:quality=1", "quality"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_job(
                {
                    "input": {"images": "i"},
                    "output": {"uri": "o", "format": form},
                    "calibration": {"degradation": "noise:sigma=1"},
                }
            )


@pytest.mark.parametrize(
    ("cores", "sizes", "started"),
    [
        (1, [1] * 6, [3, 4, 5, 6, 6, 6]),
        (8, [1] * 6, [5, 6, 6, 6, 6, 6]),
        (1, [20 * 2**20] * 4, [2, 3, 4, 4]),
        (8, [20 * 2**20] * 4, [2, 3, 4, 4]),
        (8, [12 * 2**20] * 4, [3, 4, 4, 4]),
        (1, [1, 20 * 2**20, 1, 1], [2, 4, 4, 4]),
    ],
)
def test_large_files_are_read_one_at_a_time(monkeypatch, cores, sizes, started):
    read_, seen = [], []
    monkeypatch.setattr(shard, "_load_photo", lambda entry, _limits: read_.append(entry))
    worker = ShardWorker.__new__(ShardWorker)
    worker.config = SimpleNamespace(job=SimpleNamespace(limits=None))
    worker._threads = IoThreads.for_cores(cores)
    worker._readers = SimpleNamespace(submit=lambda function, *arguments: function(*arguments))
    entries = [Entry(f"u{number}", f"k{number}", size, "", 0.0) for number, size in enumerate(sizes)]
    taken = []
    for entry, _ in worker._read_ahead(entries):
        taken.append(entry)
        seen.append(len(read_))
    assert taken == entries
    assert seen == started
