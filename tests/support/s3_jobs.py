"""Jobs whose photos and results are on the S3 server of the tests."""

import io
import json
import uuid
from collections import Counter

import yaml

from pipeline.maintenance.verify import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, read_manifest
from pipeline.storage import list_names
from tests.conftest import s3_settings
from tests.support.photos import make_photo


def proxy_environment(proxy):
    """Return the environment variables with which processes use the S3 of a proxy."""
    settings = {"config_kwargs": {"read_timeout": proxy.timeout_s - 0.5}}
    return s3_settings(proxy.port) | {"FSSPEC_S3": json.dumps(settings), "AWS_MAX_ATTEMPTS": "3"}


def write_job_on_s3(s3, folder, images, workers):
    """Write a job whose small photos are on S3; returns the path of its file and the URI of its output."""
    import boto3

    client = boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL"])
    bucket = f"archive-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket)
    for number in range(images + 3):
        key = f"restored/{number:04d}.png" if number < images else f"natural/{number}.png"
        with io.BytesIO() as file:
            make_photo(number, 24, 18).save(file, "PNG")
            client.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
    job = {
        "input": {"images": f"s3://{bucket}/restored"},
        "calibration": {"reference": f"s3://{bucket}/natural", "degradation": "blur:sigma=1"},
        "autoencoder": "tests.support.fake_autoencoders:shuffle",
        "output": {"uri": f"s3://{bucket}/enhanced"},
        "compute": {"images_per_shard": 2, "dtype": "float32", "workers": workers},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    return str(folder / "job.yaml"), f"s3://{bucket}/enhanced"


def check_run_on_s3(tally, output, images):
    """Check that every photo has one row and its result, as this process reads them through its S3."""
    (name,) = list_names(f"{output}/_deepot")
    run = RunPaths(f"{output}/_deepot/{name}")
    rows = Counter(row["file_name"] for row in read_manifest(run).to_pylist())
    tally.lost += images - len(rows)
    tally.doubled += sum(count > 1 for count in rows.values())
    assert (tally.lost, tally.doubled) == (0, 0)
    assert verify_run(run, NullProgress()) == VerificationReport(images, (), images)
