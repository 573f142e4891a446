"""A local autoencoder of two small convolutions, and maps that sharpen photos in its and the embedded one's latents."""

import pytest
import torch

from deepot.autoencoder import as_autoencoder
from tests.support import fake_autoencoders


@pytest.fixture(scope="module")
def autoencoder():
    return as_autoencoder(fake_autoencoders.smooth(), "smooth", dtype=torch.float32, device="cpu")


@pytest.fixture(scope="module")
def transport(autoencoder):
    from tests.deepot.inference.test_enhancer import fit

    return fit(autoencoder)


@pytest.fixture(scope="session")
def embedded_map(embedded_autoencoder):
    from tests.deepot.inference.test_enhancer import fit

    return fit(embedded_autoencoder)
