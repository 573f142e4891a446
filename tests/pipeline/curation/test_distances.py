"""Distances between collections, as a matrix and as a picture."""

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
from pipeline.curation.distances import load_moments, mean_shift, pairwise_distances
from pipeline.stages import fit_job, open_run
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


def test_compare_prints_a_matrix_and_writes_a_picture(files, tmp_path, capsys):
    labels = ["--label", "1910", "--label", "1920", "--label", "1930", "--label", "1940"]
    assert main(["compare", *files, *labels, "--plot", str(tmp_path / "years.png"), "--json"]) == 0
    out = capsys.readouterr().out
    record = json.loads(out.splitlines()[-1])
    steps = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    np.testing.assert_allclose(record["wasserstein2"], 2.0 * steps, atol=1e-6)
    assert "1920: 1 photo, 500 latent patches" in out or "1920: 0 photos" in out
    with Image.open(io.BytesIO((tmp_path / "years.png").read_bytes())) as image:
        assert min(image.size) > 300


def test_compare_moments_of_different_autoencoders_is_refused(files, tmp_path, capsys):
    """Also in folders; a file that does not name its autoencoder is accepted."""
    moments = Moments.from_bytes((tmp_path / "0.safetensors").read_bytes())
    for name, about in (("other", {"autoencoder_sha256": "y" * 64}), ("unnamed", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "00000.safetensors").write_bytes(moments.to_bytes(about))
    other, unnamed = str(tmp_path / "other"), str(tmp_path / "unnamed")
    assert main(["compare", unnamed, files[0]]) == 0
    capsys.readouterr()
    for sets in ([files[0], other], [unnamed, files[0], other], [other, unnamed, files[0]]):
        assert main(["compare", *sets]) == 2
        record = capsys.readouterr().err
        assert all(name in record for name in (files[0], f"{other}/00000.safetensors"))
        assert "different autoencoders" in record
        assert "the same autoencoder (deepot fit)" in record
    (tmp_path / "unnamed" / "00001.safetensors").write_bytes((tmp_path / "0.safetensors").read_bytes())
    (tmp_path / "unnamed" / "00002.safetensors").write_bytes((tmp_path / "other" / "00000.safetensors").read_bytes())
    assert main(["compare", unnamed, unnamed]) == 2
    assert "00001.safetensors and" in capsys.readouterr().err


def test_read_autoencoder_sha256_broken_metadata_is_refused(files):
    data = Path(files[0]).read_bytes().replace(b'\\"autoencoder_sha256\\"', b'\\"autoencoder_sha256 \\')
    with pytest.raises(MomentsError, match=r"x\.safetensors is not a moments file"):
        read_autoencoder_sha256(data, "x.safetensors")


def test_pairwise_distances_of_two_archives_come_from_one_fit(make_job, tmp_path):
    """As described in docs/curation.md, with calibration.reference and calibration.restored."""
    write_photos(tmp_path / "1910", 4, restored=False)
    write_photos(tmp_path / "1920", 4)
    job = make_job(calibration={"reference": str(tmp_path / "1910"), "restored": str(tmp_path / "1920")})
    with without_ray():
        context = open_run(job, OPTIONS)
        fit_job(context)
    collections = load_moments([f"{context.calibration.uri}/moments/{side}" for side in ("reference", "source")])
    for year, found in zip(("1910", "1920"), collections, strict=True):
        photos = (Pixels.from_image(Image.open(path)) for path in (tmp_path / year).rglob("*.png"))
        direct = merge_in_order(photo_moments(context.models.autoencoder, photo, 3) for photo in photos)
        assert found.images == 4
        assert float(pairwise_distances([found, direct])[0, 1]) < 1e-4
    assert pairwise_distances(collections)[0, 1] > 0.1


def test_compare_too_few_collections_or_labels_is_refused(files, capsys):
    assert main(["compare", files[0]]) == 2
    assert main(["compare", *files, "--label", "one"]) == 2
    assert "one label for each" in capsys.readouterr().err


def test_pairwise_distances_of_different_dimensions_names_both():
    generator = torch.Generator().manual_seed(0)
    moments = [Moments.from_patches(torch.randn(50, dimension, generator=generator)) for dimension in (4, 9)]
    with pytest.raises(MomentsError, match=r"latent patches of 4 and 9 dimensions cannot be compared: .*patch_size"):
        pairwise_distances(moments)


def test_mean_shift_is_the_distance_of_the_means(files):
    first, second = load_moments([files[0], files[3]])
    assert mean_shift(first, second) == pytest.approx(6.0)
