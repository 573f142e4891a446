"""An autoencoder with fewer channels decodes the projected latents of the larger one."""

import pytest
import torch

from deepot.autoencoder.loading import load_autoencoder
from tools.embedded_autoencoder import pca_channels
from tools.embedded_autoencoder.dataset import load_held_out


@pytest.mark.parametrize(("channels", "is_lossless"), [(8, True), (4, False)])
def test_pca_channels_decodes_as_the_larger_one_only_with_all_channels(
    made, distilled, tmp_path, channels, is_lossless
):
    start = distilled[0] / "autoencoder"
    paths = ["--start", str(start), "--dataset", str(made / "dataset"), "--out", str(tmp_path)]
    pca_channels.main([*paths, "--channels", str(channels)])
    small, large = (load_autoencoder(str(folder), dtype=torch.float32) for folder in (tmp_path, start))
    crops = load_held_out(made / "dataset").crops[:4] / 255
    assert small.encode(crops).shape[1] == channels
    inner = slice(48, -48)  # the border is padded with zeros, which are not the mean of the larger one's latents
    first, second = (each.decode(each.encode(crops))[..., inner, inner] for each in (small, large))
    assert bool((first - second).abs().max() < 5e-3) is is_lossless
