"""What many tests need: the shared models and photos where they are, small codecs, seeded generators."""

import sys
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure():
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def shared():
    """The folder of real photos and models beside the checkout."""
    if not (SHARED / "plugins").is_dir():
        pytest.skip("no ../shared folder with real photos and models beside this checkout")
    if str(SHARED / "plugins") not in sys.path:
        sys.path.append(str(SHARED / "plugins"))
    return SHARED


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(7)


@pytest.fixture(scope="session")
def embedded():
    import deepot

    return deepot.load_codec("embedded", dtype=torch.float32, device="cpu")
