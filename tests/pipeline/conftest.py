"""A Ray session for the tests that need one, and jobs that run in a second."""

import pytest

from pipeline.config import parse_job
from tests.photos import collection


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


@pytest.fixture
def job_for(tmp_path):
    """A job over small photos with the invertible test codec."""

    def make(images=6, vae="tests.codecs:shuffle", **changes):
        if not (tmp_path / "restored").exists():
            collection(tmp_path / "restored", images)
            collection(tmp_path / "natural", 6, restored=False)
        content = {
            "input": {"images": str(tmp_path / "restored")},
            "reference": {"images": str(tmp_path / "natural")},
            "source": {"degrade": "blur:sigma=1"},
            "vae": vae,
            "output": {"uri": str(tmp_path / "enhanced")},
            "compute": {"shard_images": 2, "dtype": "float32"},
        }
        return parse_job(content | changes)

    return make


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
