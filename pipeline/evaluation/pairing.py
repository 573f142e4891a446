"""Pairs of clean originals and their degraded versions in the input."""

from pathlib import PurePosixPath

from pipeline.config import Evaluation
from pipeline.errors import ConfigError
from pipeline.sources import find_images, sample_by_hash
from pipeline.stages import JobContext
from pipeline.storage import Entry


def pair_photos(context: JobContext, config: Evaluation) -> list[tuple[Entry, Entry | None]]:
    """Return at most `config.limit` clean originals, each with the photo of the same name in the input.

    If a degradation is given, the originals are to be degraded and the second item of each pair is None.

    Raises:
        ConfigError: two originals have the same name, or no photo of the input has an original.
    """
    given = context.job.input
    originals = list(find_images(config.clean, "evaluate.clean", streams=given.list_streams, limits=context.job.limits))
    if config.degradation is not None:
        return [(entry, None) for entry in sample_by_hash(originals, config.limit)]
    original_by_stem: dict[str, Entry] = {}
    for entry in originals:
        known = original_by_stem.setdefault(_strip_suffix(entry.key), entry)
        if known is not entry:
            raise ConfigError(
                f"evaluate.clean {config.clean} has '{known.key}' and '{entry.key}', and either may be the original: "
                "keep one of the two"
            )
    listed = find_images(
        given.images,
        "input",
        context.excluded_folders,
        given.exclude,
        given.allow,
        streams=given.list_streams,
        inventory=given.inventory,
        limits=context.job.limits,
    )
    photos = list(listed)
    matched = [photo for photo in photos if _strip_suffix(photo.key) in original_by_stem]
    if not matched:
        raise ConfigError(
            f"evaluate.clean {config.clean} has no original of any photo of the input, such as '{photos[0].key}': "
            "give originals the same names in the same folders, apart from suffixes, or set evaluate.degradation"
        )
    return [(original_by_stem[_strip_suffix(photo.key)], photo) for photo in sample_by_hash(matched, config.limit)]


def _strip_suffix(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))
