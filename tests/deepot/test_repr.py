"""The `repr` of what users make is a few lines on what it is."""

from dataclasses import replace

import pytest
import torch

import deepot
from tests.support import fake_autoencoders


def values():
    return {
        "autoencoder": deepot.load_autoencoder(device="cpu", dtype="float32"),
        "blur": deepot.load_degradation("blur:sigma=1+noise:sigma=10"),
        "denoiser": deepot.load_restorer("nlm:sigma=50", device="cpu"),
        "enlarger": deepot.load_restorer("resize:factor=2", device="cpu"),
        "moments": deepot.Moments.from_patches(torch.zeros(2000, 288), images=3),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "autoencoder",
            "LoadedAutoencoder: 'embedded', 32 channels, 8 × 8 pixels per latent position\n"
            "  on cpu in float32, halo of 13 latent positions",
        ),
        ("blur", "Degradation: 'blur:sigma=1+noise:sigma=10'"),
        ("denoiser", "Restorer: 'nlm:sigma=50' on cpu"),
        ("enlarger", "Restorer: 'resize:factor=2' on cpu, enlarges 2 times"),
        ("moments", "Moments: 2,000 vectors of 288 values from 3 images"),
    ],
)
def test_repr_is_on_what_the_value_is(name, expected):
    assert repr(values()[name]) == expected


@pytest.mark.parametrize(
    ("halo", "halo_with_shared_stats", "expected"),
    [
        (2, None, "halo of 2 latent positions"),
        (None, 5, "halo of 5 latent positions with shared statistics"),
        (None, None, "no known halo"),
    ],
)
def test_repr_of_an_autoencoder_states_its_halo(halo, halo_with_shared_stats, expected):
    autoencoder = deepot.as_autoencoder(fake_autoencoders.shuffle(), "shuffle", device="cpu", dtype="float32")
    changed = replace(autoencoder, halo=halo, halo_with_shared_stats=halo_with_shared_stats)
    assert repr(changed).endswith(f"\n  on cpu in float32, {expected}")
