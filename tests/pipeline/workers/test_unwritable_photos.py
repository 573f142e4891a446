"""Photos whose result no file of the output format can hold: their row fails before the restorer is called."""

import io
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from pipeline.storage.objects import read
from pipeline.workers.shard_worker import ShardWorker
from pipeline.workers.work_item import WorkItem
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.image_files import encode_image, make_corpus_photo

SPECS = ["same", "jpeg", "webp", "jxl"]
"""Together they refuse for every reason but size; tests/pipeline/imageio/test_check_writable.py has all formats."""
MAX_PIXELS = 10**9


class CountingRestorer:
    """Notes the photos that it is called with, by the row that is being processed."""

    scale = 1

    def __init__(self):
        self.file_name, self.restored = "", []

    def __call__(self, pixels):
        self.restored.append(self.file_name)
        return pixels


@pytest.fixture
def photos(tmp_path):
    """The corpus, and a photo of a format that is only read, as files."""
    for module in ("pillow_heif", "pillow_jxl"):
        pytest.importorskip(module)
    decode(PHOTO_KINDS[0].make(), MAX_PIXELS)  # registers the plugins
    found = {kind.name: kind.make() for kind in PHOTO_KINDS}
    found["still.gif"] = encode_image(make_corpus_photo("P"), "GIF")
    (tmp_path / "kinds").mkdir()
    for name, data in found.items():
        (tmp_path / "kinds" / name).write_bytes(data)
    return found


def refusal_of(data, spec):
    """The code with which writing a photo fails; None if it does not."""
    photo = decode(data, MAX_PIXELS)
    try:
        encode(photo, photo.pages, spec, "keep")
    except ImageError as error:
        return error.code
    return None


@pytest.fixture
def process(make_worker_config, monkeypatch, tmp_path):
    """Processes the photos with an output format; returns the rows by name, and the names that were restored."""
    config, entries = make_worker_config(input={"images": str(tmp_path / "kinds")})

    def run(spec, scale=1):
        output = config.job.output.model_copy(update={"format": spec})
        worker = ShardWorker(replace(config, job=config.job.model_copy(update={"output": output})))
        restorer, processor = CountingRestorer(), worker._processor
        restorer.scale = scale
        processor.models, finish = replace(processor.models, restorer=restorer), processor.finish

        def finish_named_image(started):
            restorer.file_name = started.row["file_name"]
            return finish(started)

        monkeypatch.setattr(processor, "finish", finish_named_image)
        manifest_file = worker.process(WorkItem(0, entries))
        table = pq.read_table(io.BytesIO(read(config.run.manifest(manifest_file.name))))
        return {row["file_name"]: row for row in table.to_pylist()}, set(restorer.restored)

    return run


def test_process_restores_only_photos_that_can_be_written(photos, process):
    for spec in SPECS:
        rows, restored = process(spec)
        assert rows.keys() == photos.keys()
        for name, row in rows.items():
            assert row["error_code"] == refusal_of(photos[name], spec), (name, spec, row["error_message"])
            assert (name in restored) == (row["status"] == "ok"), (name, spec)
            assert row["input_sha256"] and row["width"], "what is known of the photo stays in its row"


def test_process_refuses_results_that_a_restorer_makes_too_large(photos, process):
    rows, restored = process("webp", 400)
    assert restored == {"one.png"}
    assert rows["rgb.png"]["error_code"] == ErrorCode.UNSUPPORTED_OUTPUT
    assert "19200 pixels along one side" in rows["rgb.png"]["error_message"]
