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


@pytest.fixture(scope="session")
def ray_session():
    import ray

    from pipeline import cluster

    with pytest.MonkeyPatch.context() as patch:
        for key, value in cluster._QUIET.items():
            patch.setenv(key, value)
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def s3():
    """moto's S3 server on loopback, in this process, on a free port; yields its endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in settings.items():
            patch.setenv(key, value)
        yield settings
        server.stop()
