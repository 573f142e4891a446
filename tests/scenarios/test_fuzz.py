"""Mutated photos, job files, plans, commits, maps and moments are read, or refused by an error of the project."""

import io
import json
import resource
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepot.errors import DeepotError
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.map_fit import fit_map
from deepot.transport.moments import Moments
from deepot.transport.transport_map import TransportMap
from pipeline.config.loading import load_job
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode_marked
from pipeline.imageio.metadata.mark_text import Mark
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.registry import FORMATS
from pipeline.runs.commits import ManifestFile, read_commit
from pipeline.runs.manifest import read_manifest_file
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan_file import read_shards, shards_to_parquet
from pipeline.runs.rows import new_row
from pipeline.runs.sharding import split_into_shards
from pipeline.storage.objects import Entry, sha256_hex
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.odd_files import ODD_FILES

JOB = b"""name: x
input: {images: "s3://archive/**/*.tif"}
calibration: {reference: natural, limit: 20, degradation: "noise:sigma=50", restorer: "nlm:sigma=50"}
transport: {patch_size: 3, alpha: 0.0, mode: residual, preserve: [chroma]}
output: {uri: out, format: same}
limits: {max_pixels: 400_000_000, max_error_rate: 0.01}
tiles: &a {max_side: auto}
"""
COMMIT = {"name": "a.parquet", "size": 9, "sha256": "0", "ok": 1, "skipped": 0, "failed": 0, "codes": {"damaged": 1}}
MARK = Mark("deepot 9.9", "alpha=0.5", "source-uuid", "result-uuid", "a.jpg")
MAX_GROWTH_KB = 1_500_000  # of this process over all cases


@cache
def photos():
    """One of every kind whose plugin is installed, and some that are skipped."""
    available = {None, *(each.plugin for each in FORMATS if each.is_available())}
    kinds = [kind for kind in PHOTO_KINDS if kind.required_plugin in available]
    return [kind.make() for kind in kinds] + [ODD_FILES[name][0]() for name in ("pair.jpg", "lab.tif", "still.gif")]


@cache
def moments():
    vectors = torch.randn(60, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return [Moments(30, 3, part.mean(0), part.T.cov() * 29) for part in vectors.split(30)]


@cache
def transport():
    source, reference = moments()
    return fit_map(
        [source],
        [reference],
        autoencoder="x",
        autoencoder_sha256="0",
        patch_size=1,
        calibration=CalibrationKind.PAIRED,
        shrinkage_se=0,
    ).to_bytes()


def mutated(samples):
    """One of the samples with bytes replaced, removed or inserted."""
    place = st.integers(0, 2**16) | st.integers(0, 1500)  # headers and metadata lie in front
    edit = st.tuples(place, st.integers(0, 40), st.binary(max_size=40))

    def apply(sample, edits):
        for start, length, data in edits:
            start %= len(sample) + 1
            sample = sample[:start] + data + sample[start + length :]
        return sample

    return st.builds(apply, st.sampled_from(samples), st.lists(edit, max_size=6))


def written(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def read_photo(data, _):
    photo = decode(data, 10_000_000)
    for form, policy in (*(("same", policy) for policy in MetadataPolicy), ("tiff", "keep"), ("jpeg", "strip-gps")):
        try:
            encode_marked(photo, photo.pages, form, policy, MARK)
        except ImageError as error:
            assert error.code in (ErrorCode.UNSUPPORTED_OUTPUT, ErrorCode.UNSUPPORTED_FORMAT)


def read_job(data, folder):
    (folder / "job.yaml").write_bytes(data)
    load_job(folder / "job.yaml")


def read_planned(data, folder):
    (folder / "plan.parquet").write_bytes(data)
    list(read_shards(str(folder / "plan.parquet")))


def read_committed(data, folder):
    written(folder / "commits" / "00000.json", data)
    read_commit(RunPaths(str(folder)), 0)


@cache
def rows():
    made = [new_row(Entry("u", f"k{number}", number, "e", 1.0), 0, 1) for number in range(9)]
    with io.BytesIO() as file:
        pq.write_table(pa.Table.from_pylist(made, schema=MANIFEST_SCHEMA), file)
        return file.getvalue()


def read_rows_of(data, folder):
    written(folder / "manifest" / "a.parquet", data)
    part = ManifestFile("a.parquet", len(data), sha256_hex(data), 9, 0, 0, {})
    read_manifest_file(RunPaths(str(folder)), part).to_pylist()


# What reads, what is mutated, and how many thousand cases a soak has.
READERS = {
    "photo": (read_photo, photos, 15),
    "job file": (read_job, lambda: [JOB], 10),
    "plan": (
        read_planned,
        lambda: [shards_to_parquet(split_into_shards([Entry("u", f"k{i}", i, "e", 1.0) for i in range(9)], 4))],
        5,
    ),
    "manifest": (read_rows_of, lambda: [rows()], 2),
    "commit": (read_committed, lambda: [json.dumps({"shard": 0, "files": [COMMIT]}).encode()], 8),
    "map": (lambda data, _: TransportMap.from_bytes(data), lambda: [transport()], 20),
    "moments": (lambda data, _: Moments.from_bytes(data), lambda: [moments()[0].to_bytes()], 40),
}


def fuzz(name, folder, cases):
    reader, samples, _ = READERS[name]
    seen = {"cases": 0}

    @settings(max_examples=cases, deadline=10_000, suppress_health_check=list(HealthCheck), database=None)
    @given(mutated(samples()))
    def holds(data):
        seen["cases"] += 1
        try:
            reader(data, folder)
        except DeepotError:
            return

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    holds()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KB
    return seen["cases"]


@pytest.mark.parametrize("name", READERS)
def test_reader_of_unmutated_data_reads_it(name, tmp_path):
    reader, samples, _ = READERS[name]
    refused = 0
    for sample in samples():
        try:
            reader(sample, tmp_path)
        except ImageError:
            refused += 1
    assert refused == (2 if name == "photo" else 0), "several photos in one file, and CIELAB"


@pytest.mark.parametrize("name", READERS)
def test_reader_of_mutated_data_reads_or_refuses(name, tmp_path):
    fuzz(name, tmp_path, 100)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", READERS)
def test_reader_of_many_mutations_reads_or_refuses(name, tmp_path, record_fault):
    with record_fault(f"mutated {name}", has_rows=False) as tally:
        tally.injected = fuzz(name, tmp_path, 1000 * READERS[name][2])
