import pytest
import torch

from deepot.autoencoder.loaded import as_autoencoder
from deepot.errors import AutoencoderError
from tests.support import fake_autoencoders


def test_as_autoencoder_names_the_missing_attributes():
    with pytest.raises(AutoencoderError, match="'odd': object lacks factor, channels, encode, decode"):
        as_autoencoder(object(), "odd")


def test_as_autoencoder_whose_latents_have_another_shape_is_refused():
    wrong = fake_autoencoders.Shuffle()
    wrong.channels = 5
    with pytest.raises(AutoencoderError, match="'wrong' states factor 2 and 5 channels, but encodes 16 × 16 pixels"):
        as_autoencoder(wrong, "wrong")


def test_as_autoencoder_prepares_a_network_for_inference():
    network = fake_autoencoders.smooth().train()
    loaded = as_autoencoder(network, "smooth", device="cpu", dtype=torch.bfloat16)
    assert not network.training
    assert {(weight.dtype, weight.requires_grad) for weight in network.parameters()} == {(torch.bfloat16, False)}
    assert loaded.encode(torch.zeros(1, 3, 8, 8)).dtype == torch.float32


def test_fingerprint_depends_on_the_halo_and_not_on_the_halo_with_shared_stats():
    """The second came later, and decides only how large photos are tiled."""
    fingerprints = []
    for name, value in (("halo", 3), ("halo", 4), ("halo_with_shared_stats", 3), ("halo_with_shared_stats", 4)):
        network = fake_autoencoders.smooth()
        setattr(network, name, value)
        fingerprints.append(as_autoencoder(network, "smooth", device="cpu", dtype=torch.float32).sha256)
    assert fingerprints[0] != fingerprints[1]
    assert fingerprints[2] == fingerprints[3]
