"""Jobs that run in a second."""

import pytest

from pipeline.config import parse_job
from tests.photos import collection


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


@pytest.fixture(params=["local", "s3", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{tmp_path.name}/store"
    request.getfixturevalue("s3")
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="photos")
    return f"s3://photos/{tmp_path.name}"
