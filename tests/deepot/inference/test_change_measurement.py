"""Band energies of a photo are those of its centre, with those of the change that a map makes there."""

from dataclasses import replace

import pytest
import torch

from deepot.errors import AutoencoderError
from deepot.inference.bands import reference_band, split_bands
from deepot.inference.cell_filters import remove_repetition
from deepot.inference.centre_square import MAX_SIDE
from deepot.inference.change_measurement import measure_energies
from deepot.inference.image_fitting import fit_images
from deepot.photo import Pixels
from deepot.transport import CalibrationKind
from tests.support.photos import make_photo, soften


@pytest.fixture(scope="module")
def restored():
    return Pixels.from_image(soften(make_photo(0, 61, 45)))


def test_energies_are_those_of_the_bands_and_of_the_change(autoencoder, transport, restored):
    factor, operator = autoencoder.factor, transport.operator_on()
    unit = 2 * factor
    rows, columns = ((side - side // unit * unit) // 2 for side in (45, 61))
    image = restored.to_rgb()[..., rows : rows + 45 // unit * unit, columns : columns + 61 // unit * unit]
    latents = autoencoder.encode(image)
    change = remove_repetition(autoencoder.decode(operator(latents)) - autoencoder.decode(latents), factor)
    bands, change_bands = (split_bands(each, factor)[0, 1:].double() for each in (image, change))
    sums = measure_energies(autoencoder, restored, operator)
    logs = torch.cat([reference_band(image, factor)[None], bands]).double().square().flatten(1).mean(1).log()
    torch.testing.assert_close(sums.logs.mean, logs)
    expected = [bands.square(), bands * change_bands, change_bands.square()]
    torch.testing.assert_close(sums.change, torch.stack([each.flatten(1).mean(1) for each in expected]))
    assert sums.logs.count == 1
    assert (sums.change[2] > 0).all()


def test_energies_of_natural_photos_have_no_change(autoencoder, transport, restored):
    natural = measure_energies(autoencoder, restored)
    assert not natural.change[1:].any()
    with_map = measure_energies(autoencoder, restored, transport.operator_on())
    torch.testing.assert_close(natural.logs.mean, with_map.logs.mean)
    torch.testing.assert_close(natural.change[0], with_map.change[0])


def test_photos_smaller_than_two_cells_are_not_measured(autoencoder):
    small = Pixels.from_image(make_photo(0, 2 * autoencoder.factor - 1, 40))
    assert measure_energies(autoencoder, small).logs.count == 0


def test_large_photos_are_measured_in_their_centre(autoencoder):
    photo = Pixels.from_image(make_photo(0, MAX_SIDE + 40, 32))
    centre = Pixels(photo.samples[:, 20 : 20 + MAX_SIDE])
    assert measure_energies(autoencoder, photo).to_bytes() == measure_energies(autoencoder, centre).to_bytes()


def test_values_that_are_not_finite_are_refused(autoencoder, restored, monkeypatch):
    latents = autoencoder.encode(restored.to_rgb()[..., :32, :32])
    monkeypatch.setattr(type(autoencoder), "encode", lambda *_: latents * float("nan"))
    with pytest.raises(AutoencoderError):
        measure_energies(autoencoder, restored, lambda latents: latents)


def test_unpaired_images_give_gains_without_error_curves(autoencoder):
    restored, natural = ([make_photo(seed, 64, 48) for seed in seeds] for seeds in (range(8), range(8, 16)))
    soft = [soften(image) for image in restored]
    change = fit_images(autoencoder, iter(soft), iter(natural), calibration=CalibrationKind.UNPAIRED).change
    assert (change.images, change.curves) == (8, None)
    assert min(change.gains.luma[1:]) >= 1


def test_images_restored_twice_and_once_give_the_gains_of_pairs_without_error_curves(autoencoder):
    once = [soften(make_photo(seed, 64, 48)) for seed in range(4)]
    twice = [soften(image) for image in once]
    paired, own = (fit_images(autoencoder, twice, once, calibration=kind).change for kind in ("paired", "self"))
    assert own == replace(paired, curves=None)
    assert paired.curves is not None
