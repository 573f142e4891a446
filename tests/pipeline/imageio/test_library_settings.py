"""Settings of other libraries are changed during a call only, whatever other threads do."""

import io
import logging
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.errors import ImageError
from pipeline.imageio.file_suffix import extension_for
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.library_settings import SharedContext, ignored_warnings, relaxed_libraries
from tests.support.image_files import encode_image, encode_tagged_tiff, make_corpus_photo

ROOT = Path(__file__).resolve().parents[3]
MAX_PIXELS = 10**9
IN_A_NEW_PROCESS = """
import logging, pickle, sys, warnings
import imagecodecs, numpy, tifffile, torch
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

def settings():
    known = logging.root.manager.loggerDict.items()
    loggers = {name: logger for name, logger in known if isinstance(logger, logging.Logger)}
    loggers |= {"root": logging.root, "tifffile": logging.getLogger("tifffile")}
    return {
        "Pillow": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK,
                   PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, TiffImagePlugin.READ_LIBTIFF),
        "loggers": {name: (logger.level, logger.handlers[:], logger.filters[:], logger.propagate, logger.disabled)
                    for name, logger in loggers.items()},
        "warnings": warnings.filters[:],
        "NumPy": numpy.geterr(),
        "torch": (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()),
    }

def changed(before):
    after = settings()
    after["loggers"] = {name: after["loggers"][name] for name in before["loggers"]}
    return [name for name in before if after[name] != before[name]]

Image.init()
before, plugins = settings(), (sorted(Image.OPEN), sorted(Image.SAVE))
import pipeline.imageio
assert changed(before) == [], changed(before)
assert (sorted(Image.OPEN), sorted(Image.SAVE)) == plugins
for kind, data in pickle.load(sys.stdin.buffer).items():
    photo = pipeline.imageio.decode(data, 10**9)
    pipeline.imageio.encode(photo, photo.pages, "png", "keep")
    pipeline.imageio.extension_for("scan", data)
    try:
        pipeline.imageio.decode(data[:99], 10**9)
    except pipeline.errors.ImageError:
        assert changed(before) == [], (kind, changed(before))
        print("unchanged by", kind)
"""


def test_import_and_use_of_imageio_change_no_setting_of_other_libraries():
    kinds = ["JPEG", "TIFF", "WEBP"]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS],
        input=pickle.dumps({kind: encode_image(make_corpus_photo(), kind) for kind in kinds}),
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.stdout.decode().splitlines() == [f"unchanged by {kind}" for kind in kinds], done.stderr.decode()
    assert done.stderr == b""


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TGA", "TIFF", "WEBP"])
def test_decode_is_not_bound_by_the_limit_of_pillow(kind, monkeypatch):
    data = encode_image(make_corpus_photo(), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    assert extension_for("scan", data)
    assert decode(data, MAX_PIXELS).pixels.width == 48
    assert Image.MAX_IMAGE_PIXELS == 100


def test_decode_that_fails_restores_the_settings(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    filters, disabled = warnings.filters[:], logging.getLogger("tifffile").disabled
    for data in (b"none", b"\xff\xd8\xff\xe0", b"II*\0\xff\xff\xff\xff"):
        with pytest.raises(ImageError):
            decode(data, MAX_PIXELS)
    assert (Image.MAX_IMAGE_PIXELS, warnings.filters, logging.getLogger("tifffile").disabled) == (
        100,
        filters,
        disabled,
    )


def test_decode_and_encode_leave_the_log_of_tifffile_alone(caplog):
    data = encode_tagged_tiff(np.asarray(make_corpus_photo()))
    data = data.replace(b"\x1a\x01\x05\0", b"\x1a\x01\x63\0", 1)  # a type that does not exist: tifffile logs it
    photo = decode(data, MAX_PIXELS)
    encode(photo, photo.pages, "same", "keep")
    assert not [record for record in caplog.records if record.name == "tifffile"]
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        _ = file.pages[0].tags
    assert [record for record in caplog.records if record.name == "tifffile"], "outside of a call it does"


def test_settings_hold_until_the_last_thread_leaves(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    filters = warnings.filters[:]
    both_in, first_out, checked = threading.Barrier(2), threading.Event(), []

    def first():
        with relaxed_libraries, ignored_warnings:
            both_in.wait(60)
        first_out.set()

    def second():
        with relaxed_libraries, ignored_warnings:
            both_in.wait(60)
            assert first_out.wait(60)
            checked.append((Image.MAX_IMAGE_PIXELS, warnings.filters[0][0]))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result(60)
    assert checked == [(None, "ignore")]
    assert (Image.MAX_IMAGE_PIXELS, warnings.filters) == (100, filters)


def test_many_threads_decode_under_a_small_limit_and_restore_it(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    filters, disabled = warnings.filters[:], logging.getLogger("tifffile").disabled
    files = [encode_image(make_corpus_photo(), kind) for kind in ("WEBP", "TIFF", "PNG", "GIF")]
    ready = threading.Barrier(8)

    def read(number):
        ready.wait(60)
        return [decode(files[(number + step) % 4], MAX_PIXELS).pixels.width for step in range(20)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [[48] * 20] * 8
    assert (Image.MAX_IMAGE_PIXELS, warnings.filters, logging.getLogger("tifffile").disabled) == (
        100,
        filters,
        disabled,
    )


def test_change_by_others_during_a_call_stays(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with relaxed_libraries:
        Image.MAX_IMAGE_PIXELS = 200
    assert Image.MAX_IMAGE_PIXELS == 200


def test_shared_context_that_cannot_be_entered_can_be_entered_later():
    calls = []

    class Context:
        def __enter__(self):
            calls.append("enter")
            if len(calls) == 1:
                raise OSError("not yet")

        def __exit__(self, *_):
            calls.append("exit")

    shared = SharedContext(Context)
    with pytest.raises(OSError, match="not yet"), shared:
        pass
    with shared, shared:
        assert calls == ["enter", "enter"]
    assert calls == ["enter", "enter", "exit"]
