"""Importing and using deepot changes no setting of Python or of another library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import faulthandler, importlib, json, logging, os, pkgutil, random, signal, socket, sys, threading, warnings

# What deepot imports, lazily too: what these change on their own import is not deepot's doing.
import safetensors.torch, torch
import imagecodecs, imagehash, numpy, scipy.linalg, scipy.special
from PIL import Image, ImageFile, ImageFilter


def settings():
    loggers = {"": logging.root} | {
        name: logger for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)
    }
    configured = {
        f"logger {name}": (each.level, each.disabled, each.propagate, list(each.handlers), list(each.filters))
        for name, each in loggers.items()
        if not name.startswith("deepot")
    }
    return {name: value for name, value in configured.items() if value != (0, False, True, [], [])} | {
        "MAX_IMAGE_PIXELS": Image.MAX_IMAGE_PIXELS,
        "LOAD_TRUNCATED_IMAGES": ImageFile.LOAD_TRUNCATED_IMAGES,
        "warnings": (list(warnings.filters), warnings.showwarning),
        "logging": (logging.root.manager.disable, logging.getLoggerClass(), logging.getLogRecordFactory()),
        "numpy errors": numpy.geterr(),
        "numpy printing": numpy.get_printoptions(),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)],
        "process": (sys.getrecursionlimit(), sys.excepthook, faulthandler.is_enabled(), socket.getdefaulttimeout()),
        "threads": threading.active_count(),
        "randomness": (random.getstate(), torch.get_rng_state().tolist(), numpy.random.get_state()[1].tolist()),
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "torch modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch determinism": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic),
        "torch precision": (
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.conv.fp32_precision,
            torch.backends.cuda.matmul.fp32_precision,
        ),
        "torch backends": (torch.backends.cudnn.benchmark, torch.backends.cudnn.enabled, torch.backends.mkldnn.enabled),
    }


def changed_by(step):
    before = settings()
    step()
    after = settings()
    return [name for name in before | after if before.get(name) != after.get(name)]


def import_every_module():
    import deepot

    for module in pkgutil.walk_packages(deepot.__path__, "deepot."):
        importlib.import_module(module.name)


def enhance_a_photo():
    import deepot

    autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
    samples = numpy.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), numpy.uint8)
    natural, restored = map(Image.fromarray, samples)
    transport = deepot.fit_images(autoencoder, [restored], [natural], patch_size=1)
    deepot.Enhancer(autoencoder, transport)(restored)
    deepot.load_restorer("median:size=3")(deepot.Pixels.from_image(natural))


def change_settings():
    Image.MAX_IMAGE_PIXELS = None
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    logging.getLogger("new").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.manual_seed(1)
    os.environ["NEW"] = "1"


print(json.dumps({step.__name__: changed_by(step) for step in (import_every_module, enhance_a_photo, change_settings)}))
"""


@pytest.fixture(scope="module")
def changed_settings():
    """Names of the settings that each step of the program changes, in an interpreter of its own."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_importing_deepot_changes_no_setting(changed_settings):
    assert changed_settings["import_every_module"] == []


def test_enhancing_a_photo_changes_no_setting(changed_settings):
    """What is set for a call is restored after it."""
    assert changed_settings["enhance_a_photo"] == []


def test_changed_settings_are_noticed(changed_settings):
    assert set(changed_settings["change_settings"]) == {
        "MAX_IMAGE_PIXELS",
        "logger PIL",
        "logger new",
        "warnings",
        "torch precision",
        "torch threads",
        "randomness",
        "environment",
    }
