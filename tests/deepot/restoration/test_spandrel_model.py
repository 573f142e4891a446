from dataclasses import replace

import numpy as np
import pytest
import torch

from deepot.errors import RestorerError
from deepot.photo.pixels import Pixels
from deepot.restoration.loading import load_restorer
from tests.support.image_corpus import ADOBE_RGB
from tests.support.photos import make_photo
from tests.support.spandrel_import import can_import_spandrel

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")  # raised by SwinIR
SIZES = [(1, 1), (1, 40), (7, 5), (33, 50)]


@pytest.fixture(scope="module", autouse=True)
def spandrel():
    if not can_import_spandrel():
        pytest.skip("spandrel is not installed; 'make install' puts it beside the environment")


def checkpoint(folder, name):
    """Save a small network with random weights in the layout that its authors publish; return path and network."""
    torch.manual_seed(1)
    if name == "grey denoiser":
        from spandrel.architectures.DnCNN import DnCNN

        model = DnCNN(in_nc=1, out_nc=1, nc=64, nb=17, act_mode="R")
    elif name == "windows":
        from spandrel.architectures.SwinIR import SwinIR

        model = SwinIR(
            img_size=16, window_size=8, depths=(2, 2), num_heads=(2, 2), embed_dim=12, mlp_ratio=2,
            upscale=2, upsampler="pixelshuffledirect", resi_connection="1conv",
        )  # fmt: skip
    else:
        from spandrel.architectures.ESRGAN import ESRGAN

        channels = {"4 to 4": (4, 4), "3 to 1": (3, 1)}.get(name, (3, 3))
        scale = int(name[1:]) if name[0] == "x" else 2
        model = ESRGAN(in_nc=channels[0], out_nc=channels[1], num_filters=16, num_blocks=1, scale=scale)
    path = folder / "model.pth"
    torch.save(model.state_dict(), path)
    return path, model.eval()


@pytest.mark.parametrize(
    ("name", "scale"), [("x1", 1), ("x2", 2), ("x4", 4), ("windows", 2), ("grey denoiser", 1), ("4 to 4", 2)]
)
def test_spandrel_model_of_any_scale_restores_photos_of_any_size(tmp_path, name, scale):
    path, _ = checkpoint(tmp_path, name)
    restorer = load_restorer(f"spandrel:{path}", device=torch.device("cpu"))
    assert restorer.scale == scale
    for height, width in SIZES:
        for mode in ("RGB", "L"):
            pixels = Pixels.from_image(make_photo(2, width, height).convert(mode))
            result = restorer(pixels)
            assert result.samples.shape == (height * scale, width * scale, len(mode))


@pytest.mark.parametrize("name", ["x2", "windows", "grey denoiser", "4 to 4"])
def test_spandrel_model_gives_the_output_of_the_network(tmp_path, name):
    path, model = checkpoint(tmp_path, name)
    pixels = Pixels.from_image(make_photo(2, 32, 24))
    with torch.inference_mode():
        if name == "grey denoiser":
            expected = torch.cat([model(channel) for channel in pixels.to_rgb().split(1, 1)], 1)
        elif name == "4 to 4":
            expected = model(torch.cat([pixels.to_rgb(), torch.ones(1, 1, 24, 32)], 1))[:, :3]
        else:
            expected = model(pixels.to_rgb())
    result = load_restorer(f"spandrel:{path}", device=torch.device("cpu"))(pixels)
    assert (result.to_rgb() - expected.clamp(0, 1)).abs().max() <= 0.51 / 255


def test_spandrel_model_keeps_bit_depth_profile_and_transparency(tmp_path):
    path, _ = checkpoint(tmp_path, "x2")
    samples = np.asarray(make_photo(3)).astype(np.uint16) * 257
    alpha = np.full(samples.shape[:2], 65535, np.uint16)
    pixels = Pixels.from_array(np.dstack([samples, alpha]), ADOBE_RGB, alpha=True)
    result = load_restorer(f"spandrel:{path}", device=torch.device("cpu"))(pixels)
    assert result.colour_space == pixels.colour_space
    assert (result.samples.dtype, result.samples.shape, result.alpha.shape) == (np.uint16, (72, 96, 3), (72, 96))


def test_restorer_that_tiles_itself_is_given_the_full_photo(tmp_path):
    path, _ = checkpoint(tmp_path, "x1")
    restorer = load_restorer(f"spandrel:{path}", device=torch.device("cpu"))
    sizes = []

    def model(images):
        sizes.append(tuple(images.shape[2:]))
        return images

    pixels = Pixels(np.zeros((40, 30_000, 3), np.uint8))
    replace(restorer, model=model, tiled=False)(pixels)
    assert sizes == [(40, 30_000)]
    sizes.clear()
    replace(restorer, model=model)(pixels)
    assert len(sizes) > 1
    assert max(height * width for height, width in sizes) <= 1024**2


def test_load_spandrel_model_of_another_file_is_refused(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(RestorerError, match="not a checkpoint that spandrel can load"):
        load_restorer(f"spandrel:{tmp_path}/x.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "y.pth")
    with pytest.raises(RestorerError, match="not a checkpoint that spandrel can load"):
        load_restorer(f"spandrel:{tmp_path}/y.pth")


def test_load_spandrel_model_with_other_output_channels_is_refused(tmp_path):
    path, _ = checkpoint(tmp_path, "3 to 1")
    with pytest.raises(RestorerError, match="maps 3 channels to 1; supported are"):
        load_restorer(f"spandrel:{path}")
