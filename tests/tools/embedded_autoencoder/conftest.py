"""A small lesson, and parts of an autoencoder that are trained on it."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tools.lessons import denoiser, lesson, train

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="package")
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        lesson, distil = (importlib.import_module(name) for name in ("lesson", "distil_autoencoder"))
        patch.setattr(importlib.import_module("train_denoiser"), "WIDTH", 16)
        patch.setattr(importlib.import_module("train_denoiser"), "DEPTH", 4)
        patch.setattr(lesson, "HELD_OUT", 28)
        patch.setattr(lesson, "CHUNK", 28)
        patch.setattr(lesson, "PATCH", 1)
        patch.setattr(distil, "HELD_OUT_CROPS", 4)
        patch.setattr(distil, "WIDTHS", (16, 16, 16, 16))
        patch.setattr(distil, "LAYERS", {"encoder": (0, 1, 1, 1), "decoder": (0, 1, 1, 1)})
        yield lesson, distil


@pytest.fixture(scope="package")
def made(tools, tmp_path_factory):
    """A lesson of a teacher that loses nothing, with latents of factor 8."""
    folder = tmp_path_factory.mktemp("lesson")
    (folder / "photos").mkdir()
    random = np.random.default_rng(0)
    for index in range(3):
        small = Image.fromarray(random.integers(0, 256, (12, 10, 3), dtype=np.uint8))
        small.resize((160, 192), Image.Resampling.BICUBIC).save(folder / "photos" / f"{index}.png")
    denoiser(folder, "--steps", "150", "--learning-rate", "0.02")
    lesson(tools, folder)
    return folder


@pytest.fixture(scope="package")
def work(tools, made):
    """Both parts trained alone for some steps and joined; the folder and what was measured of them."""
    folder, found = made / "work", {}
    for part in ("encoder", "decoder"):
        untrained = train(tools, part, made / "lesson", folder, "--steps", "1", "--learning-rate", "0")["held_out"]
        found[part] = untrained, train(tools, part, made / "lesson", folder, "--steps", "40")["held_out"]
    tools[1].main(["join", "--out", str(folder)])
    return folder, found


@pytest.fixture(scope="package")
def own(tools, made, work, tmp_path_factory):
    """The lesson in the latents of the student that was trained on it."""
    folder = tmp_path_factory.mktemp("own")
    how = [
        "--teacher",
        "tests.support.fake_autoencoders:blocks",
        "--threads",
        "1",
        "--allow-code",
        "--out",
        str(folder),
    ]
    tools[0].main(["--again", str(made / "lesson"), "--student", str(work[0] / "autoencoder"), *how])
    return folder
