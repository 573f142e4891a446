"""The registry of kinds of map: a further kind needs its class and a line in the registry, and nothing else."""

import numpy as np
import pytest
import torch

import deepot
from deepot.errors import MapError, SpecError
from deepot.transport import map_kinds
from deepot.transport.map_kinds import MAP_KINDS, load_map_kind
from deepot.transport.shrinkage import Shrinkage
from deepot.transport.transport_map import TransportMap
from tests.support.photos import make_photo, soften
from tests.support.toy_map_kind import ToyMap


@pytest.fixture
def toy_kind(monkeypatch):
    """A third kind of map in the registry."""
    monkeypatch.setitem(map_kinds.MAP_KINDS, "toy", ToyMap)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gaussian", "gaussian"),
        ("mixture:components=3", "mixture:components=3"),
        (" mixture:components=3.0", "mixture:components=3"),
    ],
)
def test_load_map_kind_gives_the_canonical_name(text, name):
    kind = load_map_kind(text)
    assert kind.name == name
    assert load_map_kind(kind.name).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixtur:components=3", "unknown kind of map 'mixtur'.*did you mean 'mixture'"),
        ("gaussian:components=3", "there is no option 'components'"),
        ("mixture", "components is missing"),
        ("mixture:components=nan", "must be a whole number"),
        ("mixture:components=many", "must be a number"),
    ],
)
def test_load_map_kind_of_a_faulty_text_raises(text, message):
    with pytest.raises(SpecError, match=message):
        load_map_kind(text)


@pytest.mark.parametrize("text", ["gaussian", "mixture:components=3"])
def test_statistics_of_every_kind_have_the_moments_of_the_patches(text, generator):
    kind, latents = load_map_kind(text), torch.randn(1, 2, 12, 9, generator=generator)
    found, plain = kind.measure(latents, 3), map_kinds.GaussianMap().measure(latents, 3)
    assert (found.moments().count, found.moments().images) == (plain.count, plain.images)
    torch.testing.assert_close(found.moments().scatter, plain.scatter)
    empty = kind.statistics.empty(18)
    assert empty.merge(found).to_bytes() == found.merge(empty).to_bytes() == found.to_bytes()
    assert kind.statistics.from_bytes(found.to_bytes({"key": "value"})).to_bytes() == found.to_bytes()


@pytest.mark.parametrize("text", ["gaussian", "mixture:components=3"])
def test_fit_of_every_kind_gives_parameters_of_the_stated_shapes(text, generator):
    kind = load_map_kind(text)
    sides = [kind.measure(torch.randn(1, 2, 12, 9, generator=generator), 3) for _ in range(2)]
    parameters = kind.fit(*sides, Shrinkage.uniform(0.5, 3))
    assert {name: tuple(tensor.shape) for name, tensor in parameters.items()} == kind.parameter_shapes(18)
    assert {tensor.dtype for tensor in parameters.values()} == {torch.float64}


def test_a_third_kind_goes_through_fit_enhancer_and_file(toy_kind, smooth_autoencoder, tmp_path):
    natural = [make_photo(seed) for seed in range(3)]
    transport = deepot.fit_images(smooth_autoencoder, map(soften, natural), natural, patch_size=1, kind="toy:boost=2")
    assert (transport.info.kind, transport.info.source_images) == ("toy:boost=2", 3)
    single = deepot.fit_images(smooth_autoencoder, map(soften, natural), natural, patch_size=1)
    assert transport.info.wasserstein2 == single.info.wasserstein2
    assert torch.equal(transport.reference.covariance, single.reference.covariance)

    transport.save(tmp_path / "map.safetensors")
    loaded = TransportMap.load(tmp_path / "map.safetensors")
    assert (loaded.sha256, loaded.info) == (transport.sha256, transport.info)
    image = soften(make_photo(9))
    first, second = (np.asarray(deepot.Enhancer(smooth_autoencoder, each)(image)) for each in (transport, loaded))
    assert (first != np.asarray(image)).mean() > 0.3
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="toy maps take patches of 1 or 3"):
        deepot.fit_images(smooth_autoencoder, natural, natural, patch_size=5, kind="toy")


def test_from_bytes_of_an_unregistered_kind_raises(toy_kind, smooth_autoencoder, monkeypatch):
    natural = [make_photo(seed) for seed in range(2)]
    data = deepot.fit_images(smooth_autoencoder, map(soften, natural), natural, kind="toy").to_bytes()
    monkeypatch.delitem(MAP_KINDS, "toy")
    with pytest.raises(MapError, match=r"m\.safetensors is a map of a kind.*unknown kind of map 'toy'"):
        TransportMap.from_bytes(data, "m.safetensors")
