"""Preview a job: calibrate as the job does, on few photos where it would take long, and render some photos."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from deepot.evaluation import SweepPoint
from deepot.inference import TransportMode
from deepot.transport import CalibrationKind, TransportMap
from pipeline.calibration import find_map_uri, load_map
from pipeline.config import Calibration, Job
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.preview.options import PreviewOptions
from pipeline.preview.rendering import PreviewTask, RenderedPhoto, render_photo
from pipeline.sources import find_images, sample_by_hash
from pipeline.stages import JobContext, RunOptions, calibrate_job, open_run, worker_session
from pipeline.storage import Entry, absolute_uri

MAX_CALIBRATION_PHOTOS = 32
"""A calibration of more photos than this is not computed for a preview, unless it is there already."""
_FEW_PHOTOS = 16
_ALPHAS = (1.0, 0.75, 0.5, 0.25, 0.0)
_COMPANION_ALPHAS = (2.0, 1.5)


@dataclass(frozen=True)
class PreviewResult:
    """A preview.

    Attributes:
        job: the job that was previewed; with fewer calibration photos if `calibration_photos` is not None.
        transport: the map.
        points: what was rendered of each photo, after the restored photo itself.
        chosen: the number of the point that the job asks for, among these.
        photos: the rendered photos.
        unusable: URIs of photos that could not be rendered, each with the reason.
        calibration_photos: how many photos of each side the map was fitted from instead of those of the job; None if
            it is the job's own map.
    """

    job: Job
    transport: TransportMap
    points: tuple[SweepPoint, ...]
    chosen: int
    photos: tuple[RenderedPhoto, ...]
    unusable: tuple[tuple[str, str], ...]
    calibration_photos: int | None


def preview_job(job: Job, options: RunOptions, preview: PreviewOptions) -> PreviewResult:
    """Calibrate a job, on this machine, and render photos of its input at several α.

    No run is created and no photo is written. The statistics and the map stay in the folder of the calibration, where
    a run of the same job finds them, if the job's own calibration was used.

    Raises:
        DeepotError: a model cannot be loaded, the calibration is refused, or a named photo is not in the input.
        NothingFoundError: no photo can be rendered.
    """
    if options.address is not None:
        raise ConfigError("a preview is made on this machine: leave out --address")
    job = job.model_copy(update={"compute": job.compute.model_copy(update={"pool": "local"})})
    with worker_session(job, options) as session:
        own_context = open_run(job, options)
        entries = _choose_photos(job, own_context.excluded_folders, preview)
        context, calibration_photos = _with_quick_calibration(own_context)
        transport = calibrate_job(context)
        points, chosen = _list_points(context.job, transport)
        map_uri = find_map_uri(context.job, context.calibration)
        tasks = [
            PreviewTask(context.job, options.allow_code, map_uri, entry, points, chosen, preview.max_side)
            for entry in entries
        ]
        options.progress.begin("preview", len(tasks))
        with session.worker_pool(context.job, options.allow_code, len(tasks)) as pool:
            photos, unusable = list[RenderedPhoto](), list[tuple[str, str]]()
            for outcome in pool.map_unordered(render_photo, tasks, _describe_death):
                if isinstance(outcome, RenderedPhoto):
                    photos.append(outcome)
                else:
                    entry, reason = outcome
                    unusable.append((entry.uri, reason))
                options.progress.advance(1, int(not isinstance(outcome, RenderedPhoto)))
        options.progress.end()
    photos = sorted(photos, key=lambda photo: photo.entry.key)
    if not photos:
        raise NothingFoundError(f"none of the {len(unusable)} photos can be shown; {': '.join(unusable[0])}")
    return PreviewResult(context.job, transport, points, chosen, tuple(photos), tuple(unusable), calibration_photos)


def _describe_death(task: PreviewTask) -> tuple[Entry, str]:
    return task.entry, "the worker process died again and again while it rendered this photo"


def _choose_photos(job: Job, excluded_folders: Sequence[str], preview: PreviewOptions) -> list[Entry]:
    """Return the named photos of the input, or some of it.

    Raises:
        NothingFoundError: a named photo is not in the input.
    """
    photos = job.input
    listed = find_images(
        photos.images,
        "input",
        excluded_folders,
        photos.exclude,
        photos.allow,
        streams=photos.list_streams,
        inventory=photos.inventory,
        limits=job.limits,
    )
    if not preview.photos:
        return sample_by_hash(listed, preview.limit)
    wanted = {name: absolute_uri(name) for name in preview.photos}
    found = {}
    for entry in listed:
        for name, uri in wanted.items():
            if name == entry.key or uri == entry.uri:
                found[name] = entry
        if len(found) == len(wanted):
            break
    missing = [name for name in preview.photos if name not in found]
    if missing:
        raise NothingFoundError(f"{missing[0]} is not a photo of the input {photos.images}: give its name or URI there")
    return list(found.values())


def _with_quick_calibration(context: JobContext) -> tuple[JobContext, int | None]:
    """Return the opened job, or, if its calibration has many photos and no map yet, the same job with few of them.

    Returns:
        The opened job, and how many photos of each side its calibration has instead of the job's.
    """
    job = context.job
    if job.map is not None or load_map(job, context.calibration) is not None:
        return context, None
    if max(_count_up_to(side, MAX_CALIBRATION_PHOTOS + 1) for side in _iter_sides(context)) <= MAX_CALIBRATION_PHOTOS:
        return context, None
    calibration = (job.calibration or Calibration()).model_copy(update={"limit": _FEW_PHOTOS})
    quick = job.without_photo_limit().model_copy(update={"calibration": calibration})
    return open_run(quick, context.options), _FEW_PHOTOS


def _iter_sides(context: JobContext) -> Iterator[Iterator[Entry]]:
    """List the photos of each side of the calibration, at most as many as the job takes."""
    job, limit = context.job, context.job.calibration_limit
    given = job.calibration or Calibration()
    sides = {"calibration.reference": given.reference, "calibration.restored": given.restored}
    if job.calibration_kind is CalibrationKind.SELF:
        sides = {"input": job.input}
    for label, photos in sides.items():
        if photos is not None:
            listed = find_images(
                photos.images,
                label,
                context.excluded_folders,
                photos.exclude,
                photos.allow,
                limits=context.job.limits,
            )
            yield islice(listed, limit)


def _count_up_to(entries: Iterator[Entry], limit: int) -> int:
    return sum(1 for _ in islice(entries, limit))


def _list_points(job: Job, transport: TransportMap) -> tuple[tuple[SweepPoint, ...], int]:
    """Return what to render: the job's mode at several α, and other modes at the job's own α.

    Returns:
        The points, from the weakest change to the strongest, and the number of the one that the job asks for.
    """
    mode = job.transport.mode
    alpha = transport.resolve_alpha(job.transport.alpha, mode)
    alphas = {*_ALPHAS, alpha}
    if job.has_companion and transport.companion_weight:
        alphas |= {*_COMPANION_ALPHAS}
    points = [SweepPoint(mode.value, each) for each in sorted(alphas - {1.0}, reverse=True)]
    others = [each for each in TransportMode if each not in (mode, TransportMode.AUTO)]
    if mode is TransportMode.AUTO and transport.gains is None:
        others.remove(TransportMode.DETAIL)  # which is what auto means without gains
    if alpha != 1:
        points += [SweepPoint(other.value, alpha) for other in others]
    chosen = SweepPoint(mode.value, alpha if alpha != 1 else min(alphas))
    return tuple(points), points.index(chosen)
