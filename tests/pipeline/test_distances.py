"""Distances between many collections, as a matrix and as a picture."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from deepot.moments import Moments
from jobs.cli import main


@pytest.fixture
def files(tmp_path):
    """Moments of four collections whose means lie on a line."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(500, 4, generator=generator)
    for shift in range(4):
        moments = Moments.from_patches(vectors + shift)
        (tmp_path / f"{shift}.safetensors").write_bytes(moments.to_bytes({"codec_sha256": "x"}))
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


def test_what_cannot_be_compared(files, capsys):
    assert main(["compare", files[0]]) == 2
    assert main(["compare", *files, "--label", "one"]) == 2
    assert "a label each" in capsys.readouterr().err
