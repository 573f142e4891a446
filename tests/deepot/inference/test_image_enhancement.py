"""One call for images, arrays and files."""

import numpy as np
import pytest
from PIL import Image

import deepot
from tests.support.photos import make_photo, soften


@pytest.fixture(scope="module")
def transport(embedded_autoencoder):
    natural = [make_photo(seed, 64, 64) for seed in range(3)]
    return deepot.fit_images(embedded_autoencoder, map(soften, natural), natural, patch_size=1)


def test_enhance_takes_images_arrays_and_paths_alone_and_in_lists(embedded_autoencoder, transport, tmp_path):
    restored = soften(make_photo(7, 80, 56))
    path, map_path = tmp_path / "restored.png", tmp_path / "map.safetensors"
    restored.save(path)
    transport.save(map_path)
    expected = deepot.Enhancer(embedded_autoencoder, transport)(restored)
    assert expected != restored
    for given in (restored, np.asarray(restored), path, str(path)):
        assert deepot.enhance(given, transport, autoencoder=embedded_autoencoder) == expected
    assert deepot.enhance([restored, path], str(map_path), autoencoder=embedded_autoencoder) == [expected] * 2
    assert deepot.enhance((), transport, autoencoder=embedded_autoencoder) == []
    grey = deepot.enhance(np.asarray(restored.convert("L")), transport, autoencoder=embedded_autoencoder)
    assert (grey.mode, grey.size) == ("L", (80, 56))
    assert Image.open(path).tobytes() == restored.tobytes(), "the file stays as it is"


def test_enhance_strength_is_one_minus_alpha(embedded_autoencoder, transport):
    restored = soften(make_photo(8, 64, 48))
    assert deepot.enhance(restored, transport, strength=0, autoencoder=embedded_autoencoder) == restored
    full = deepot.Enhancer(embedded_autoencoder, transport, alpha=0, mode="detail")(restored)
    assert deepot.enhance(restored, transport, strength=1, mode="detail", autoencoder=embedded_autoencoder) == full


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (3, TypeError, "images: give Pillow images, arrays or paths, not int"),
        ([None], TypeError, "not NoneType"),
        (np.zeros((4, 4, 3)), ValueError, r"this one is \(4, 4, 3\) of float64"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"must be \(H, W, 3\) or \(H, W\) of uint8"),
        ("no such file.png", FileNotFoundError, "no such file.png"),
    ],
)
def test_enhance_of_something_else_names_the_argument(embedded_autoencoder, transport, images, error, message):
    with pytest.raises(error, match=message):
        deepot.enhance(images, transport, autoencoder=embedded_autoencoder)
