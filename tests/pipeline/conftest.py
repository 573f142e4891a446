"""Small jobs, and folders on each kind of storage."""

import pytest

from pipeline.config.loading import parse_job
from tests.support.photos import small_job_config


@pytest.fixture
def make_job(tmp_path):
    """Makes jobs over small photos with the invertible test autoencoder."""

    def build(images=6, **changes):
        return parse_job(small_job_config(tmp_path, images, 6, **changes))

    return build


@pytest.fixture(params=["local", "s3", "memory"])
def storage_folder(request, tmp_path):
    """A folder on a disk, on S3 and in memory."""
    if request.param == "local":
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{tmp_path.name}/store"
    request.getfixturevalue("s3")
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="photos")
    return f"s3://photos/{tmp_path.name}"
