"""Distances between many collections, as a matrix and as a picture."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepot.errors import MomentsError
from deepot.inference.calibration import photo_moments
from deepot.photo.pixels import Pixels
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments, read_autoencoder_sha256
from jobs.cli import main
from pipeline.curation.distances import load_moments, pairwise_distances
from pipeline.stages.driver import fit_job, open_run
from tests.support.in_process_pool import OPTIONS, without_ray
from tests.support.photos import write_photos


@pytest.fixture
def files(tmp_path):
    """Moments of four collections whose means lie on a line."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(500, 4, generator=generator)
    for shift in range(4):
        moments = Moments.from_patches(vectors + shift)
        (tmp_path / f"{shift}.safetensors").write_bytes(moments.to_bytes({"autoencoder_sha256": "x"}))
    return [str(tmp_path / f"{shift}.safetensors") for shift in range(4)]


def test_a_matrix_of_distances_and_its_picture(files, tmp_path, capsys):
    labels = ["--label", "1910", "--label", "1920", "--label", "1930", "--label", "1940"]
    assert main(["compare", *files, *labels, "--plot", str(tmp_path / "years.png"), "--json"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])
    steps = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    np.testing.assert_allclose(told["wasserstein2"], 2.0 * steps, atol=1e-6)
    assert "1920: 1 images, 500 latent patches" in out or "1920: 0 images" in out
    with Image.open(io.BytesIO((tmp_path / "years.png").read_bytes())) as image:
        assert min(image.size) > 300


def test_moments_of_different_autoencoders_are_not_compared(files, tmp_path, capsys):
    """Of whole folders, too; a file that does not say which one it was is taken as it is."""
    moments = Moments.from_bytes((tmp_path / "0.safetensors").read_bytes())
    for name, about in (("other", {"autoencoder_sha256": "y" * 64}), ("silent", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "00000.safetensors").write_bytes(moments.to_bytes(about))
    other, silent = str(tmp_path / "other"), str(tmp_path / "silent")
    assert main(["compare", silent, files[0]]) == 0
    capsys.readouterr()
    for sets in ([files[0], other], [silent, files[0], other], [other, silent, files[0]]):
        assert main(["compare", *sets]) == 2
        told = capsys.readouterr().err
        assert all(name in told for name in (files[0], f"{other}/00000.safetensors"))
        assert "different autoencoders" in told
        assert "the same autoencoder (deepot fit)" in told
    (tmp_path / "silent" / "00001.safetensors").write_bytes((tmp_path / "0.safetensors").read_bytes())
    (tmp_path / "silent" / "00002.safetensors").write_bytes((tmp_path / "other" / "00000.safetensors").read_bytes())
    assert main(["compare", silent, silent]) == 2
    assert "00001.safetensors and" in capsys.readouterr().err


def test_metadata_that_are_none_do_not_make_a_moments_file(files):
    data = Path(files[0]).read_bytes().replace(b'\\"autoencoder_sha256\\"', b'\\"autoencoder_sha256 \\')
    with pytest.raises(MomentsError, match=r"x\.safetensors is not a moments file"):
        read_autoencoder_sha256(data, "x.safetensors")


def test_the_moments_of_two_archives_come_from_one_fit(make_job, tmp_path):
    """As docs/curation.md has it: reference.images and source.images."""
    write_photos(tmp_path / "1910", 4, restored=False)
    write_photos(tmp_path / "1920", 4)
    job = make_job(calibration={"reference": str(tmp_path / "1910"), "restored": str(tmp_path / "1920")})
    with without_ray():
        opened = open_run(job, OPTIONS)
        fit_job(opened)
    gathered = load_moments([f"{opened.calibration.uri}/moments/{side}" for side in ("reference", "source")])
    for year, found in zip(("1910", "1920"), gathered, strict=True):
        photos = (Pixels.from_image(Image.open(path)) for path in (tmp_path / year).rglob("*.png"))
        direct = merge_in_order(photo_moments(opened.models.autoencoder, photo, 3) for photo in photos)
        assert found.images == 4
        assert float(pairwise_distances([found, direct])[0, 1]) < 1e-4
    assert pairwise_distances(gathered)[0, 1] > 0.1


def test_what_cannot_be_compared(files, capsys):
    assert main(["compare", files[0]]) == 2
    assert main(["compare", *files, "--label", "one"]) == 2
    assert "a label each" in capsys.readouterr().err
