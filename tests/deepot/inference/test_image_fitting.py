"""One call that fits a map from images, arrays and files of every calibration."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import deepot
from deepot.errors import ArgumentError, ArgumentTypeError, DeepotError, MomentsError, SpecError
from deepot.inference.calibration import photo_statistics, tone_sums
from deepot.inference.change_measurement import measure_change, measure_energies
from tests.support.photos import make_photo, soften

CALIBRATIONS = tuple(deepot.CalibrationKind)


@pytest.fixture(scope="module")
def photos():
    natural = [make_photo(seed, 40, 32) for seed in range(3)]
    return [soften(image) for image in natural], natural


def fit(autoencoder, photos, **options):
    return deepot.fit_images(autoencoder, *photos, **({"patch_size": 1} | options))


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("tone", [True, False])
def test_fit_images_is_the_sum_of_its_public_parts(autoencoder, photos, calibration, tone):
    """The map of `fit_images` has the bytes of one that is fitted step by step."""
    restored, natural = ([deepot.Pixels.from_image(image) for image in side] for side in photos)
    curve = None
    if tone and calibration.has_same_scenes:
        curve = deepot.fit_tone([tone_sums(*pair) for pair in zip(restored, natural, strict=True)])
    kind = deepot.load_map_kind("gaussian")
    source = [photo_statistics(autoencoder, pixels, kind, 1, tone=curve) for pixels in restored]
    reference = [photo_statistics(autoencoder, pixels, kind, 1) for pixels in natural]
    names = {"autoencoder": autoencoder.name, "autoencoder_sha256": autoencoder.sha256}
    expected = deepot.fit_map(source, reference, **names, patch_size=1, calibration=calibration, tone=curve)
    operator, change = expected.operator_on(), None
    if calibration.has_same_scenes:
        sums = [measure_change(autoencoder, operator, *pair, curve) for pair in zip(restored, natural, strict=True)]
        change = deepot.fit_change(sums, has_clean_originals=calibration == "paired")
    else:
        energies = [[measure_energies(autoencoder, pixels, operator) for pixels in restored]]
        energies += [[measure_energies(autoencoder, pixels) for pixels in natural]]
        change = deepot.fit_energy_gains(*map(deepot.merge_in_order, energies))
    found = fit(autoencoder, photos, calibration=calibration, tone=tone)
    assert found.sha256 == replace(expected, change=change).sha256


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_fit_images_gives_the_same_map_whatever_holds_the_images(autoencoder, photos, tmp_path, calibration):
    expected = fit(autoencoder, photos, calibration=calibration).sha256
    paths = [[tmp_path / f"{side}{index}.png" for index in range(3)] for side in range(2)]
    for side_paths, images in zip(paths, photos, strict=True):
        for path, image in zip(side_paths, images, strict=True):
            image.save(path)
    arrays = [[np.asarray(image) for image in side] for side in photos]
    forms = {
        "paths": paths,
        "arrays": arrays,
        "stacks": [np.stack(side) for side in arrays],
        "mixed": [iter((photos[0][0], str(paths[0][1]), arrays[0][2])), tuple(photos[1])],
    }
    found = {name: fit(autoencoder, images, calibration=calibration.value).sha256 for name, images in forms.items()}
    assert found == dict.fromkeys(forms, expected)


def test_fit_images_takes_companions_as_paths(autoencoder, photos, tmp_path):
    companions = [image.resize((30, 24)).resize((40, 32)) for image in photos[1]]
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, image in zip(paths, companions, strict=True):
        image.save(path)
    expected = fit(autoencoder, photos, companions=companions)
    assert expected.companion_weight is not None
    assert fit(autoencoder, photos, companions=iter(paths)).sha256 == expected.sha256


def test_fit_images_reads_grey_and_16_bits(autoencoder, photos):
    grey = [[np.asarray(image.convert("L")) for image in side] for side in photos]
    deep = [[array.astype(np.uint16) * 257 for array in side] for side in grey]
    matrices = [fit(autoencoder, images, tone=False).parameters["matrix"] for images in (grey, deep)]
    np.testing.assert_allclose(*matrices, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("tone", [True, False])
def test_fit_images_reports_steps_up_to_their_total(autoencoder, photos, calibration, tone):
    calls = []
    fit(autoencoder, photos, calibration=calibration, tone=tone, progress=lambda *numbers: calls.append(numbers))
    done, totals = zip(*calls, strict=True)
    assert [second - first for first, second in pairwise((0, *done))] == [1] * len(calls)
    assert set(totals) == {done[-1]}
    changes = {"paired": 3, "self": 3, "unpaired": 6}[calibration]
    assert done[-1] == 6 + changes + (3 if tone and calibration.has_same_scenes else 0)


def test_fit_images_names_a_pair_whose_images_differ_in_size(autoencoder, photos):
    restored, natural = photos
    wide = [*natural[:2], natural[2].resize((48, 32))]
    message = (
        r"1 of 3 pairs differ in size, such as restored\[2\] \(40 × 32 pixels\) and natural\[2\] \(48 × 32 pixels\)"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        transport = fit(autoencoder, (restored, wide))
    assert [warning.filename for warning in caught] == [__file__], "it points at the caller"
    assert transport.info.reference_images == 3, "its patches count"
    fit(autoencoder, (restored, wide), calibration="unpaired")
    with pytest.warns(UserWarning, match=message):
        fit(autoencoder, (restored, wide), calibration="self", tone=False)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"calibration": "paird"},
            ArgumentError,
            "calibration is 'paird': give paired, self or unpaired; did you",
        ),
        ({"calibration": 3}, ArgumentError, "calibration is 3: give paired, self or unpaired$"),
        ({"kind": "gausian"}, SpecError, "did you mean 'gaussian'"),
        ({"autoencoder": "embedded"}, ArgumentTypeError, r"it first, with deepot\.load_autoencoder\('embedded'\)"),
        ({"autoencoder": None}, ArgumentTypeError, r"autoencoder is None: give what deepot\.load_autoencoder"),
        ({"progress": True}, ArgumentTypeError, "progress is True: give a function"),
        ({"restored": []}, MomentsError, "restored has no images"),
        ({"natural": iter(())}, MomentsError, "natural has no images"),
        ({"restored": [make_photo()]}, MomentsError, "there are 1 restored and 3 natural images, but calibration is"),
        ({"restored": "restored"}, ArgumentTypeError, "restored is 'restored': give a list of Pillow images"),
        ({"natural": make_photo()}, ArgumentTypeError, "natural is of type Image: give a list of Pillow images"),
        ({"natural": None}, ArgumentTypeError, "natural is None: give a list of Pillow images"),
        ({"restored": [make_photo(), 3]}, ArgumentTypeError, r"restored\[1\] is 3: give Pillow images"),
        ({"restored": [np.zeros((4, 4))]}, ArgumentError, r"restored\[0\] is an array \(4, 4\) of float64"),
        ({"companions": [make_photo()]}, ArgumentError, "there are 1 companions of 3 restored images"),
    ],
)
def test_fit_images_refuses_an_argument_by_its_name_and_value(autoencoder, photos, options, error, message):
    arguments = {"autoencoder": autoencoder, "restored": photos[0], "natural": photos[1]} | options
    with pytest.raises(error, match=message) as caught:
        deepot.fit_images(**arguments, patch_size=1)
    assert isinstance(caught.value, DeepotError)


def test_fit_images_refuses_an_autoencoder_that_is_not_prepared(autoencoder, photos):
    with pytest.raises(ArgumentTypeError, match=r"prepare it first, with deepot\.as_autoencoder"):
        fit(autoencoder.network, photos)


def test_fit_map_takes_the_calibration_as_text(autoencoder, photos):
    moments = [[deepot.photo_moments(autoencoder, deepot.Pixels.from_image(side[0]), 1)] for side in photos]
    names = {"autoencoder": "toy", "autoencoder_sha256": "0", "patch_size": 1}
    assert deepot.fit_map(*moments, **names, calibration="paired").info.calibration == "paired"
    with pytest.raises(ArgumentError, match="calibration is 'paird'"):
        deepot.fit_map(*moments, **names, calibration="paird")
