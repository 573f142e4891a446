"""Synthetic listings and the files of a run that commands read before its rows."""

import json
from collections.abc import Iterator

import torch

from deepot.transport import CalibrationKind, Moments, fit_map
from pipeline.calibration import CalibrationPaths
from pipeline.config import parse_job
from pipeline.runs import OWNER_FILE, ManifestFile, RunPaths, new_attempt_name, new_row, write_manifest_file
from pipeline.storage import Entry, join_uri, write

IMAGES_PER_SHARD = 32
"""As many photos of one megapixel as a shard has."""
_IMAGES_PER_FOLDER = 1000


def iter_synthetic_entries(images: int) -> Iterator[Entry]:
    """Yield the entries of a listing of this many images, in the order of their keys."""
    for number in range(images):
        key = f"{number // _IMAGES_PER_FOLDER:06d}/scan-{number:09d}.jpg"
        yield Entry(f"s3://archive/scans/{key}", key, 1_000_000 + number, f"{number:032x}", 1.7e9 + number)


def write_shard_result(run: RunPaths) -> ManifestFile:
    """Write a result and a manifest file with the rows of one shard, which can take the place of every shard's."""
    output_uri = join_uri(run.uri, "result.png")
    write(output_uri, b"")
    rows = [new_row(entry, 0, 1) for entry in iter_synthetic_entries(IMAGES_PER_SHARD)]
    name = f"{new_attempt_name(run, 0, 1)}.parquet"
    return write_manifest_file(run, name, [row | {"status": "ok", "output_uri": output_uri} for row in rows])


def write_run_files(folder: str) -> RunPaths:
    """Write run.json, a map and the owner file of the output folder; return the paths of the run."""
    run, output = RunPaths(f"{folder}/run"), f"{folder}/out"
    job = {"input": "s3://archive/scans", "output": output, "calibration": {"degradation": "blur"}}
    calibration = CalibrationPaths(f"{folder}/calibration")
    run_json = {
        "name": "synthetic",
        "fingerprint": "0",
        "calibration": calibration.uri,
        "models": {},
        "job": parse_job(job).model_dump(mode="json"),
        "versions": {"deepot": "0"},
        "started": "2026-01-01T00:00:00+00:00",
    }
    write(run.run_json, json.dumps(run_json).encode())
    moments = Moments(9, 3, torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    transport = fit_map(
        [moments],
        [moments],
        autoencoder="x",
        autoencoder_sha256="0",
        patch_size=1,
        calibration=CalibrationKind.PAIRED,
        shrinkage_se=0.0,
    )
    write(calibration.map(), transport.to_bytes())
    write(f"{output}/{OWNER_FILE}", json.dumps({"run": run.uri}).encode())
    return run
