"""A small dataset, and a student that is distilled on it."""

import pytest

from tests.support.autoencoder_tools import (
    run_denoiser,
    run_distill,
    run_make_dataset,
    run_make_student_dataset,
    write_soft_photos,
)
from tools.embedded_autoencoder import distill, make_dataset, network, train_denoiser


@pytest.fixture(scope="package", autouse=True)
def small_sizes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_denoiser, "WIDTH", 16)
        patch.setattr(train_denoiser, "DEPTH", 4)
        patch.setattr(make_dataset, "HELD_OUT_CROPS", 28)
        patch.setattr(make_dataset, "CHUNK_CROPS", 28)
        patch.setattr(make_dataset, "PATCH_SIZE", 1)
        patch.setattr(distill, "EVALUATED_CROPS", 4)
        patch.setattr(network, "WIDTHS", (16, 16, 16, 16))
        patch.setattr(network, "LAYERS", {"encoder": (0, 1, 1, 1), "decoder": (0, 1, 1, 1)})
        yield


@pytest.fixture(scope="package")
def made(small_sizes, tmp_path_factory):
    """The folder of photos, of a denoiser, and of a dataset made by a lossless teacher with latents of factor 8."""
    folder = tmp_path_factory.mktemp("made")
    write_soft_photos(folder / "photos")
    run_denoiser(folder, "--steps", "150", "--learning-rate", "0.02")
    run_make_dataset(folder)
    return folder


@pytest.fixture(scope="package")
def distilled(made):
    """Both modules trained alone for some steps and joined: the folder, and the evaluations before and after."""
    folder, evaluations = made / "work", {}
    for module in ("encoder", "decoder"):
        untrained = run_distill(module, made / "dataset", folder, "--steps", "1", "--learning-rate", "0")["held_out"]
        trained = run_distill(module, made / "dataset", folder, "--steps", "40")["held_out"]
        evaluations[module] = untrained, trained
    distill.main(["join", "--out", str(folder)])
    return folder, evaluations


@pytest.fixture(scope="package")
def student_dataset(made, distilled, tmp_path_factory):
    """The dataset in the latents of the student that was trained on it."""
    folder = tmp_path_factory.mktemp("student-dataset")
    run_make_student_dataset(made / "dataset", distilled[0] / "autoencoder", folder)
    return folder
