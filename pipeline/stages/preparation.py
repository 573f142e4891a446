"""Refuse a job that cannot run before anything is written, and register it in storage otherwise."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache

from pipeline.calibration import list_run_maps, load_map
from pipeline.config import Limits, Photos, RefitPolicy, split_source_kind
from pipeline.errors import ConfigError
from pipeline.runs import check_output_claim
from pipeline.sources import find_images
from pipeline.stages.job_context import JobContext
from pipeline.storage import create_if_absent, utc_timestamp

_PACKAGES = ("deepot", "torch", "diffusers", "ray", "pyarrow", "numpy", "pillow")


def prepare_run(context: JobContext) -> None:
    """Check what can be refused before any work, and then write what the run and its calibration were started with.

    Nothing is written if the job is refused.

    Raises:
        NothingFoundError: the input, or a collection that the job is calibrated from, holds no photos.
        StorageError: a collection cannot be listed, or the run's folder cannot be written.
        ConfigError: results would become photos of the calibration.
        RunError: the output folder belongs to another run or holds other photos.
    """
    _require_photos(context.job.input, "input", context.job.limits, context.excluded_folders)
    _check_calibration_photos(context)
    _check_output_folder(context)
    _register_calibration(context)
    _register_run(context)


def prepare_calibration(context: JobContext) -> None:
    """Check the photos of the calibration alone, and write what it was started with; for a command without a run.

    Raises:
        NothingFoundError: a collection that the job is calibrated from holds no photos.
        StorageError: a collection cannot be listed, or the calibration's folder cannot be written.
        ConfigError: results would become photos of the calibration.
    """
    _check_calibration_photos(context)
    _register_calibration(context)


def _require_photos(photos: Photos, label: str, limits: Limits, excluded_folders: Sequence[str] = ()) -> None:
    """Look for the first photo of a collection; raises what `find_images` raises."""
    next(find_images(photos.images, label, excluded_folders, photos.exclude, photos.allow, limits=limits))


def _check_calibration_photos(context: JobContext) -> None:
    """Check the photo collections that the map is to be fitted from; one that is not used again may be missing."""
    job = context.job
    if job.map is not None:
        return
    keeps_map = job.transport.refit is RefitPolicy.NEVER and bool(list_run_maps(context.calibration))
    for label, photos in _iter_calibration_photos(context):
        if _may_hold(photos.images, job.output_root):
            raise ConfigError(
                f"output.uri {job.output.uri} lies in {label} ({photos.images}), so results would become photos "
                "of the calibration: name an output folder outside of it"
            )
        if not keeps_map:
            _require_photos(photos, label, job.limits)


def _iter_calibration_photos(context: JobContext) -> Iterator[tuple[str, Photos]]:
    given = context.job.calibration
    if given is not None and given.reference is not None:
        yield "calibration.reference", given.reference
    if given is not None and given.restored is not None:
        yield "calibration.restored", given.restored


def _may_hold(images_uri: str, folder: str) -> bool:
    """Whether a folder or glob of photos would also name files that are written below `folder`."""
    images_uri = split_source_kind(images_uri)[1]
    pattern, parts = _path_parts(images_uri), _path_parts(folder)
    if parts[: len(pattern)] == pattern:
        return True
    if not any(mark in images_uri for mark in "*?["):
        return False
    for index, part in enumerate(pattern):
        if "**" in part or index == len(parts):
            return True
        if not fnmatchcase(parts[index], part):
            return False
    return False


def _path_parts(uri: str) -> list[str]:
    """The parts of a URI between slashes; those of a local path without links and `..`."""
    return (uri if "://" in uri else os.path.realpath(uri)).rstrip("/").split("/")


def _check_output_folder(context: JobContext) -> None:
    """Check that the run may write its results, as far as their folder is known before the map is fitted.

    Raises:
        RunError: as `check_output_claim`.
    """
    job = context.job
    if context.options.overwrite:
        return
    map_sha256 = context.identities.get("map", "")
    if "{map}" in job.output.uri and not map_sha256:
        if job.transport.refit is not RefitPolicy.NEVER or (fitted := load_map(job, context.calibration)) is None:
            return
        map_sha256 = fitted.sha256
    check_output_claim(context.output_folder(map_sha256), context.run, job.output.layout)


def _register_calibration(context: JobContext) -> None:
    job = context.job
    if job.map is None:
        calibration_json = {
            "fingerprint": job.calibration_fingerprint(context.models.fingerprints()),
            "models": context.models.fingerprints(),
            "job": job.model_dump(mode="json"),
            "started": utc_timestamp(),
        }
        create_if_absent(context.calibration.calibration_json, _to_json(calibration_json))


def _register_run(context: JobContext) -> None:
    job = context.job
    run_json = {
        "name": job.name,
        "fingerprint": context.fingerprint,
        "calibration": context.calibration.uri if job.map is None else None,
        "models": context.identities,
        "job": job.model_dump(mode="json"),
        "versions": {name: _package_version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "started": utc_timestamp(),
    }
    create_if_absent(context.run.run_json, _to_json(run_json))


def _to_json(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, indent=2, sort_keys=True).encode()


@cache
def _package_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
