"""The order in which photos are started and finished, with a fake device and on the fake GPU."""

import io
from collections import Counter
from dataclasses import dataclass, replace

import pyarrow.parquet as pq
import pytest
import torch

from deepot.inference import enhancement as enhancement_module
from deepot.inference.enhancement import Enhancement
from pipeline.storage.objects import read
from pipeline.workers.models import load_models
from pipeline.workers.photo_processor import PhotoProcessor, process_in_order
from pipeline.workers.shard_worker import ShardWorker
from pipeline.workers.work_item import WorkItem
from tests.support.fake_gpu import FAKE_DEVICE, fake_gpu
from tests.support.photos import make_photo


class RestorerOnTheDevice:
    checks_output = False
    scale, model = 1, object()

    def __call__(self, pixels):
        return pixels


@dataclass
class Started:
    row: str
    is_queued: bool


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        ("", ""),
        ("Q", "+Q -Q"),
        ("c", "+c -c"),
        ("QRS", "+Q +R -Q +S -R -S"),
        ("abc", "+a -a +b -b +c -c"),
        ("QRcST", "+Q +R -Q +c -R -c +S +T -S -T"),
    ],
)
def test_process_in_order_finishes_a_queued_photo_after_the_next_was_started(photos, expected):
    """Photos in upper case can be queued. No other photo is started while one that cannot be is unfinished."""
    events = []

    def start(photo):
        events.append(f"+{photo}")
        return Started(photo, photo.isupper())

    def finish(started):
        events.append(f"-{started.row}")
        return started.row.lower()

    assert list(process_in_order(photos, start, finish)) == [(photo, photo.lower()) for photo in photos]
    assert " ".join(events) == expected


def test_process_in_order_gives_a_result_to_the_caller_before_it_finishes_the_next():
    finished = []
    results = process_in_order("abc", lambda photo: Started(photo, False), lambda started: finished.append(started.row))
    for number, _ in enumerate(results, start=1):
        assert len(finished) == number


@pytest.fixture
def process_on_gpu(make_worker_config, monkeypatch, tmp_path):
    """Processes photos as one shard on the fake GPU, without models that are on the CPU already.

    With `overlap=False` no photo is queued before the last one is finished. Returns the rows by file name, how many
    operations the GPU had at each wait, and the number of waits but those for the kernels of the map.
    """
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        make_photo(number, 40, 48).save(photos / f"{number}.png")
    config, entries = make_worker_config(input={"images": str(photos)}, transport={"leave_natural": "off"})
    monkeypatch.setattr("deepot.autoencoder.device.default_device", lambda: FAKE_DEVICE)
    load_models.cache_clear()

    def process(overlap=True):
        operations_at_waits = []
        with monkeypatch.context() as patch, fake_gpu() as gpu:
            if not overlap:
                patch.setattr(Enhancement, "begin", lambda _: None)
            worker, wait_for = ShardWorker(config), gpu.wait_for
            assert worker._processor.models.autoencoder.device == FAKE_DEVICE
            gpu.n_operations = gpu.n_syncs = 0
            gpu.wait_for = lambda copies: (operations_at_waits.append(gpu.n_operations), wait_for(copies))
            manifest_file = worker.process(WorkItem(0, entries))
        table = pq.read_table(io.BytesIO(read(config.run.manifest(manifest_file.name))))
        rows = {row["file_name"]: drop_times(row) for row in table.to_pylist()}
        kernels = worker._enhancer._operator._kernels  # the map's, uploaded with the first photo
        return rows, operations_at_waits, gpu.n_syncs - 2 * len(kernels)

    yield process
    load_models.cache_clear()


def drop_times(row):
    return {key: value for key, value in row.items() if not key.startswith("seconds")}


def test_next_photo_is_queued_before_the_program_waits_for_this_one(process_on_gpu):
    sequential, waits_in_sequence, _ = process_on_gpu(overlap=False)
    rows, waits, n_syncs = process_on_gpu()
    assert n_syncs == len(waits) == len(rows) == 4, "one wait a photo"
    assert waits_in_sequence == sorted(set(waits_in_sequence)), "each photo has operations of its own"
    assert waits == [*waits_in_sequence[1:], waits_in_sequence[-1]]
    assert all(row["status"] == "ok" and row["invented"] > 0 for row in rows.values())
    assert rows == sequential


def test_photo_that_fails_does_not_touch_the_one_before_or_after_it(process_on_gpu, monkeypatch):
    """One fails while it is queued, another when it is finished."""
    started, finished = Counter(), Counter()
    sound, _, _ = process_on_gpu(overlap=False)
    begin, finish = Enhancement.begin, Enhancement.finish

    def begin_or_raise(enhancement):
        started["photos"] += 1
        if started["photos"] == 2:
            raise ValueError("cannot be queued")
        begin(enhancement)

    def finish_or_raise(enhancement):
        finished["photos"] += 1
        if finished["photos"] == 3:
            raise ValueError("cannot be finished")
        return finish(enhancement)

    monkeypatch.setattr(Enhancement, "begin", begin_or_raise)
    monkeypatch.setattr(Enhancement, "finish", finish_or_raise)
    rows, _, _ = process_on_gpu()
    failed = {name: row["error_message"] for name, row in rows.items() if row["status"] != "ok"}
    assert failed == {"1.png": "cannot be queued", "3.png": "cannot be finished"}
    for name in ("0.png", "2.png"):
        assert rows[name] == sound[name]


def test_photo_that_has_no_memory_beside_another_is_computed_alone_in_full_tiles(process_on_gpu, monkeypatch):
    events = []
    sound, _, _ = process_on_gpu(overlap=False)
    init = Enhancement.__init__

    def init_with_little_memory(enhancement, autoencoder, tiles, original, pixels, queue, complete):
        number = sum(event.startswith("init") for event in events)
        events.append(f"init {number}")

        def queue_or_raise(size):
            events.append(f"queue {number} in tiles of {size}")
            if number == 2 and "finish 1" not in events:
                raise torch.OutOfMemoryError
            return queue(size)

        def complete_and_note(stats):
            events.append(f"finish {number}")
            return complete(stats)

        init(enhancement, autoencoder, tiles, original, pixels, queue_or_raise, complete_and_note)

    monkeypatch.setattr(Enhancement, "__init__", init_with_little_memory)
    rows, _, _ = process_on_gpu()
    size = 1424
    assert events == [
        "init 0",
        f"queue 0 in tiles of {size}",
        "init 1",
        f"queue 1 in tiles of {size}",
        "finish 0",
        "init 2",
        f"queue 2 in tiles of {size}",
        "finish 1",
        f"queue 2 in tiles of {size}",
        "finish 2",
        "init 3",
        f"queue 3 in tiles of {size}",
        "finish 3",
    ]
    assert rows == sound


@pytest.mark.parametrize("reason", ["large", "restorer on the device"])
def test_photo_that_needs_the_device_for_itself_is_computed_alone(process_on_gpu, monkeypatch, reason):
    _, waits_in_sequence, _ = process_on_gpu(overlap=False)
    if reason == "large":
        monkeypatch.setattr(enhancement_module, "MAX_QUEUED_PIXELS", 40 * 48 - 1)
    else:
        init = PhotoProcessor.__init__

        def init_with_model(processor, job, models, *arguments):
            init(processor, job, replace(models, restorer=RestorerOnTheDevice()), *arguments)

        monkeypatch.setattr(PhotoProcessor, "__init__", init_with_model)
    rows, waits, _ = process_on_gpu()
    assert waits == waits_in_sequence
    assert {row["status"] for row in rows.values()} == {"ok"}
