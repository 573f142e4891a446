"""One call for images, arrays and files."""

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.errors import ArgumentError, ArgumentTypeError, MapError, UnsupportedImageError
from tests.support.photos import make_photo, soften


@pytest.fixture(scope="module")
def transport(autoencoder):
    natural = [make_photo(seed, 40, 32) for seed in range(3)]
    return deepot.fit_images(autoencoder, map(soften, natural), natural, patch_size=1)


def test_enhance_takes_images_arrays_and_paths_alone_and_in_lists(autoencoder, transport, tmp_path):
    restored = soften(make_photo(7, 40, 28))
    path, map_path = tmp_path / "restored.png", tmp_path / "map.safetensors"
    restored.save(path)
    transport.save(map_path)
    expected = deepot.Enhancer(autoencoder, transport)(restored)
    assert expected != restored
    for given in (restored, np.asarray(restored), path, str(path)):
        assert deepot.enhance(given, transport, autoencoder=autoencoder) == expected
    assert deepot.enhance([restored, path], str(map_path), autoencoder=autoencoder) == [expected] * 2
    assert deepot.enhance((), transport, autoencoder=autoencoder) == []
    grey = deepot.enhance(np.asarray(restored.convert("L")), transport, autoencoder=autoencoder)
    assert (grey.mode, grey.size) == ("L", (40, 28))
    assert Image.open(path).tobytes() == restored.tobytes(), "the file stays as it is"


def test_enhance_strength_is_one_minus_alpha(autoencoder, transport):
    restored = soften(make_photo(8, 64, 48))
    assert deepot.enhance(restored, transport, strength=0, autoencoder=autoencoder) == restored
    full = deepot.Enhancer(autoencoder, transport, alpha=0, mode="detail")(restored)
    assert deepot.enhance(restored, transport, strength=1, mode="detail", autoencoder=autoencoder) == full


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (3, ArgumentTypeError, "images is 3: give a list of Pillow images, arrays"),
        ([None], ArgumentTypeError, r"images\[0\] is None: give Pillow images, arrays"),
        ([torch.zeros(3, 4, 4)], ArgumentTypeError, r"images\[0\] is of type Tensor: give Pillow images"),
        (np.zeros((4, 4, 3)), ArgumentError, r"images is an array \(4, 4, 3\) of float64"),
        (np.zeros((4, 4, 4), np.uint8), ArgumentError, r"must be \(H, W, 3\) or \(H, W\) of uint8 or uint16"),
        (np.zeros((0, 4), np.uint8), ArgumentError, "at least one pixel"),
        (["photo.png", "no such file.png"], FileNotFoundError, "photo.png"),
        ("no such file.png", FileNotFoundError, "no such file.png"),
    ],
)
def test_enhance_of_something_else_names_the_argument(autoencoder, transport, images, error, message):
    with pytest.raises(error, match=message):
        deepot.enhance(images, transport, autoencoder=autoencoder)


class PathLike:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def test_enhance_takes_any_iterable_and_any_path(autoencoder, transport, tmp_path):
    restored = soften(make_photo(7, 40, 28))
    restored.save(tmp_path / "restored.png")
    expected = deepot.enhance(restored, transport, autoencoder=autoencoder)
    transport.save(tmp_path / "map.safetensors")
    images = (each for each in (restored, PathLike(tmp_path / "restored.png")))
    map_path = PathLike(tmp_path / "map.safetensors")
    assert deepot.enhance(images, map_path, autoencoder=autoencoder) == [expected] * 2
    stack = np.stack([np.asarray(restored)] * 2)
    assert deepot.enhance(stack, transport, autoencoder=autoencoder) == [expected] * 2
    np.testing.assert_array_equal(stack, np.stack([np.asarray(restored)] * 2), "arrays are not changed")


@pytest.mark.parametrize("dtype", ["uint16", ">u2"])
def test_enhance_keeps_16_bits_of_grey_arrays(autoencoder, transport, dtype):
    grey = (np.asarray(soften(make_photo(7, 64, 56)).convert("L")).astype(np.uint16) * 257 + 3).astype(dtype)
    same = deepot.enhance(grey, transport, strength=0, autoencoder=autoencoder)
    assert same.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(same), grey)
    changed = np.asarray(deepot.enhance(grey, transport, strength=1, autoencoder=autoencoder))
    assert len(np.unique(changed % 257)) > 100, "the lower bits are used"


def test_enhance_of_colour_of_16_bits_is_refused_before_it_is_cut_to_8(autoencoder, transport, tmp_path, monkeypatch):
    array = np.full((32, 32, 3), 1000, np.uint16)
    path = tmp_path / "colour.png"
    path.write_bytes(imagecodecs.png_encode(array))
    monkeypatch.setattr(deepot.Enhancer, "enhance", lambda *_: pytest.fail("time is spent on it"))
    with pytest.raises(UnsupportedImageError, match="Pillow has no mode for 3 channels of 16 bits"):
        deepot.enhance(array, transport, autoencoder=autoencoder)
    with pytest.raises(UnsupportedImageError, match=r"images\[0\] \(.*colour\.png\): Pillow would cut the 16 bits"):
        deepot.enhance([path], transport, autoencoder=autoencoder)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"strength": "half"}, ArgumentError, "strength is 'half': give a number from -3 to 5"),
        ({"strength": 9}, ArgumentError, "strength is 9: give a number from -3 to 5"),
        ({"mode": "detial"}, ArgumentError, "mode is 'detial': give auto, detail, residual or plain; did you mean"),
        ({"mode": None}, ArgumentError, "mode is None: give auto, detail, residual or plain$"),
        ({"transport_map": None}, ArgumentTypeError, r"transport_map is None: give what deepot\.fit_images"),
        ({"autoencoder": "embedded"}, ArgumentTypeError, r"it first, with deepot\.load_autoencoder\('embedded'\)"),
        ({"progress": True}, ArgumentTypeError, "progress is True: give a function"),
    ],
)
def test_enhance_refuses_an_argument_by_its_name_and_value(autoencoder, transport, changes, error, message):
    arguments = {"transport_map": transport, "autoencoder": autoencoder} | changes
    with pytest.raises(error, match=message):
        deepot.enhance([make_photo(1)], **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 9}, "alpha is 9: give a number from -4 to 4, min-error"),
        ({"alpha": "half"}, "alpha is 'half': give a number from -4 to 4, min-error"),
        ({"mode": "detial"}, "did you mean 'detail'"),
        ({"preserve": ("chrome",)}, "preserve is 'chrome': give chroma or mean; did you mean 'chroma'"),
        ({"transport_map": None}, "transport_map is None: give what"),
        ({"transport_map": "map.safetensors"}, r"transport_map is 'map\.safetensors'.*deepot\.TransportMap\.load"),
        ({"autoencoder": None}, "autoencoder is None: give what deepot.load_autoencoder"),
    ],
)
def test_enhancer_refuses_an_argument_by_its_name_and_value(autoencoder, transport, changes, message):
    arguments = {"autoencoder": autoencoder, "transport_map": transport} | changes
    with pytest.raises(deepot.DeepotError, match=message):
        deepot.Enhancer(**arguments)


def test_enhance_with_a_file_that_is_no_map_names_it(autoencoder, tmp_path):
    (tmp_path / "map.safetensors").write_bytes(b"no map")
    with pytest.raises(MapError, match=r"map\.safetensors is not a deepot map"):
        deepot.enhance(make_photo(1), tmp_path / "map.safetensors", autoencoder=autoencoder)


def test_enhance_reports_progress_after_each_image(autoencoder, transport):
    images, calls = [make_photo(seed, 40, 32) for seed in range(3)], []

    def enhance(given):
        return deepot.enhance(
            given, transport, autoencoder=autoencoder, progress=lambda *numbers: calls.append(numbers)
        )

    assert len(enhance(images)) == 3
    assert calls == [(1, 3), (2, 3), (3, 3)]
    enhance(images[0])
    assert calls[3:] == [(1, 1)]


def test_enhancer_takes_what_enhance_takes(autoencoder, transport, tmp_path):
    restored = soften(make_photo(7, 40, 28))
    restored.save(tmp_path / "restored.png")
    enhancer = deepot.Enhancer(autoencoder, transport)
    for given in (np.asarray(restored), str(tmp_path / "restored.png")):
        assert enhancer(given) == enhancer(restored)
    with pytest.raises(ArgumentTypeError, match="image is of type list: give Pillow images"):
        enhancer([restored])


def test_repr_of_an_enhancer_is_on_what_it_applies(autoencoder, transport):
    lines = repr(deepot.Enhancer(autoencoder, transport, alpha=0.25, preserve=["mean"])).splitlines()
    assert lines[0] == "Enhancer: alpha 0.25, mode auto, mean preserved"
    assert lines[1].strip().startswith("LoadedAutoencoder: 'smooth'")
    assert lines[3].strip() == repr(transport).splitlines()[0]
    assert len(lines) == 4
