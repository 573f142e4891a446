"""What an inspection found, in words: the comments of a job file and the lines of the command."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from deepot.forensics import DegradationKind
from pipeline.inspection.inspection import DegradationClass, Inspection
from pipeline.inspection.photo_facts import PhotoFacts
from pipeline.sources import describe_passed_over

_MEGA, _GIGA = 10**6, 10**9
_KIND_WORDS = {
    DegradationKind.NOISE: ("white noise", "σ {}"),
    DegradationKind.CORRELATED_NOISE: ("noise whose neighbouring pixels are correlated", "σ about {}"),
    DegradationKind.JPEG: ("JPEG compression", "quality {}"),
    DegradationKind.BLUR: ("blur", "σ {} pixels"),
    DegradationKind.DOWNSCALE: ("enlargement from a smaller photo", "factor {}"),
    DegradationKind.NONE: ("no degradation that could be recognised", "{}"),
    DegradationKind.UNKNOWN: ("too small or too uniform to be classified", "{}"),
}


def describe_inspection(found: Inspection) -> list[tuple[str, str]]:
    """Return what was found as pairs of a word and a text."""
    lines = [
        ("photos", f"{found.n_photos:,} ({_format_bytes(found.n_bytes)}), of which {_count_examined(found)} looked at"),
        ("formats", _describe_formats(found.photos)),
        ("sizes", _describe_sizes(found.photos)),
        ("samples", _describe_samples(found.photos)),
        ("scores", _describe_scores(found.photos)),
    ]
    lines += [("shows", describe_class(each)) for each in found.classes]
    if found.unusable:
        codes = Counter(code for _, code, _ in found.unusable)
        texts = [f"{count} × {code}" for code, count in codes.most_common()]
        key, _, message = found.unusable[0]
        lines.append(("unread", f"{len(found.unusable)} could not be read: {', '.join(texts)} ({key}: {message})"))
    if found.passed_over:
        lines.append(("passed", f"over {describe_passed_over(found.passed_over)}, which are not worked on"))
    return lines


def describe_class(found: DegradationClass) -> str:
    """Return how many photos show a degradation, and how strong it is."""
    words, strength = _KIND_WORDS[found.kind]
    text = f"{_count(len(found.photos), 'photo')}: {words}"
    if found.strength is None:
        return text
    span = _format_span(found.strengths, found.strength)
    return f"{text}, {strength.format(span)}"


def _count_examined(found: Inspection) -> str:
    n_examined = len(found.photos) + len(found.unusable)
    return f"{n_examined} {'was' if n_examined == 1 else 'were'}"


def _describe_formats(photos: Sequence[PhotoFacts]) -> str:
    texts = []
    for name, count in Counter(photo.format for photo in photos).most_common():
        qualities = sorted(
            photo.jpeg_quality for photo in photos if photo.format == name and photo.jpeg_quality is not None
        )
        quality = f" (quality {_format_span(qualities, median(qualities))})" if qualities else ""
        texts.append(f"{count} {name}{quality}")
    return ", ".join(texts)


def _describe_sizes(photos: Sequence[PhotoFacts]) -> str:
    pixels = sorted(photo.width * photo.height / _MEGA for photo in photos)
    largest = max(photos, key=lambda photo: photo.width * photo.height)
    span = f"{pixels[0]:.2g} to {pixels[-1]:.2g} megapixels, median {median(pixels):.2g}; the largest has"
    if pixels[0] == pixels[-1]:
        span = f"{pixels[0]:.2g} megapixels,"
    return f"{span} {largest.width} × {largest.height}"


def _describe_samples(photos: Sequence[PhotoFacts]) -> str:
    texts = [
        *(f"{count} of {bits} bits" for bits, count in Counter(photo.bit_depth for photo in photos).most_common()),
        *(f"{count} {colour}" for colour, count in Counter(photo.colour for photo in photos).most_common()),
    ]
    extras = {
        "with an ICC profile": sum(photo.has_icc for photo in photos),
        "with transparency": sum(photo.has_alpha for photo in photos),
        "rotated by EXIF": sum(photo.is_rotated for photo in photos),
        "of several pages": sum(photo.pages > 1 for photo in photos),
    }
    return ", ".join(texts + [f"{count} {words}" for words, count in extras.items() if count])


def _describe_scores(photos: Sequence[PhotoFacts]) -> str:
    """Return the medians of the scores that a run writes into its manifest too."""
    medians = {
        "sharpness": _median_of(photo.scores.sharpness for photo in photos),
        "noise": _median_of(photo.scores.noise for photo in photos),
        "blockiness": _median_of(photo.scores.blockiness for photo in photos),
    }
    return "medians: " + ", ".join(
        f"{name} {'unknown' if value is None else f'{value:.2f}'}" for name, value in medians.items()
    )


def _median_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _format_span(values: Sequence[float], middle: float) -> str:
    low, high = (_format_number(value) for value in (values[0], values[-1]))
    return low if low == high else f"{low} to {high}, median {_format_number(middle)}"


def _format_number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{round(value, 1):g}"


def _format_bytes(size: int) -> str:
    return f"{size / _GIGA:.1f} GB" if size >= _GIGA else f"{size / _MEGA:.1f} MB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
