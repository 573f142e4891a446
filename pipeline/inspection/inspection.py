"""A sample of the photos of an input, what they are like, and the degradations that they show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from deepot.forensics import DegradationKind
from pipeline.config import Job
from pipeline.errors import NothingFoundError
from pipeline.failures import error_code, error_message
from pipeline.imageio import decode
from pipeline.inspection.photo_facts import PhotoFacts, examine_photo
from pipeline.progress import Progress
from pipeline.sources import HashSampler, PassedOver, find_images, read_input
from pipeline.storage import Entry

MAX_PHOTOS = 48
"""At most this many photos of an input are examined."""


@dataclass(frozen=True)
class DegradationClass:
    """The photos of a sample that show one kind of degradation.

    Attributes:
        kind: the kind.
        photos: these photos, in the order of their names.
    """

    kind: DegradationKind
    photos: tuple[PhotoFacts, ...]

    @property
    def strengths(self) -> list[float]:
        """The known strengths, in ascending order."""
        known = (photo.degradation.strength for photo in self.photos)
        return sorted(strength for strength in known if strength is not None)

    @property
    def strength(self) -> float | None:
        """The median strength; None if the kind has none."""
        return float(median(self.strengths)) if self.strengths else None

    @property
    def jpeg_quality(self) -> float | None:
        """The median quality of the photos that are or were JPEG; None if most are not."""
        qualities = [photo.degradation.jpeg_quality for photo in self.photos]
        known = [quality for quality in qualities if quality is not None]
        return float(median(known)) if 2 * len(known) > len(qualities) else None


@dataclass(frozen=True)
class Inspection:
    """What was found in an input.

    Attributes:
        job: the job whose input it is.
        n_photos: number of photos of the input.
        n_bytes: their bytes.
        passed_over: how many other files there are, by kind.
        photos: the examined photos, in the order of their names.
        unusable: names of photos that could not be read, with the error codes and messages.
    """

    job: Job
    n_photos: int
    n_bytes: int
    passed_over: Mapping[str, int]
    photos: tuple[PhotoFacts, ...]
    unusable: tuple[tuple[str, str, str], ...]

    @property
    def classes(self) -> list[DegradationClass]:
        """The examined photos by kind of degradation, the largest class first."""
        counts = Counter(photo.degradation.kind for photo in self.photos)
        order = list(DegradationKind)
        kinds = sorted(counts, key=lambda kind: (-counts[kind], order.index(kind)))
        return [
            DegradationClass(kind, tuple(photo for photo in self.photos if photo.degradation.kind is kind))
            for kind in kinds
        ]


def inspect_input(job: Job, progress: Progress, limit: int = MAX_PHOTOS) -> Inspection:
    """List the input of a job and examine a sample of its photos, chosen by a hash of their names.

    Args:
        job: the job; photos in its output folder are no input, and its limits hold.
        progress: receives the progress.
        limit: how many photos to examine.

    Raises:
        NothingFoundError: there are no photos, or none of the sample can be read.
        StorageError: the input does not exist or cannot be listed.
    """
    excluded_folders = [job.output_root]
    passed_over = PassedOver(excluded_folders)
    given = job.input
    listed = find_images(
        given.images,
        "input",
        excluded_folders,
        given.exclude,
        given.allow,
        passed_over,
        given.list_streams,
        given.inventory,
        job.limits,
    )
    sampler = HashSampler(limit)
    n_photos, n_bytes = 0, 0
    for entry in sampler.tee(listed):
        n_photos, n_bytes = n_photos + 1, n_bytes + entry.size
    photos, unusable = _examine_all(job, sampler.selection(), progress)
    if not photos:
        key, _, message = unusable[0]
        raise NothingFoundError(
            f"input {job.input.images}: none of {len(unusable)} photos can be read; {key}: {message}"
        )
    return Inspection(job, n_photos, n_bytes, passed_over.counts, tuple(photos), tuple(unusable))


def _examine_all(
    job: Job, entries: Sequence[Entry], progress: Progress
) -> tuple[list[PhotoFacts], list[tuple[str, str, str]]]:
    """Examine photos; returns those that can be read, and the names of the others with codes and messages."""
    photos, unusable = list[PhotoFacts](), list[tuple[str, str, str]]()
    progress.begin("examine", len(entries))
    for entry in entries:
        try:
            data = read_input(entry, job.limits, job.input.allow)
            photos.append(examine_photo(entry.key, decode(data, job.limits.max_pixels)))
            progress.advance(1, 0)
        except Exception as error:  # whatever one photo raises, the others show what the input is like
            unusable.append((entry.key, error_code(error).value, error_message(error)))
            progress.advance(1, 1)
    progress.end()
    return photos, unusable
