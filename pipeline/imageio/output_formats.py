"""The formats that results are written in: the job's `output.format`, and what a format cannot hold."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from deepot.errors import SpecError
from deepot.photo import Pixels, ProfileUse, classify_profile
from deepot.spec import build_from_spec, parse_spec
from pipeline.imageio import registry
from pipeline.imageio.image_format import STRIP_PIXELS, Capabilities, ImageFormat, OutputFormat

SAME_FORMAT = "same"
"""The value of `output.format` for results in the formats of their inputs."""


@lru_cache
def parse_output_format(text: str) -> OutputFormat | None:
    """Return the format that `output.format` names, e.g. `jpeg:quality=90,progressive=1`; None for `same`.

    Raises:
        SpecError: an unknown format or option, a value that it does not take, a plugin that is not installed.
    """
    if text.strip() == SAME_FORMAT:
        return None
    formats = {each.spec_name: each for each in registry.FORMATS if each.spec_name is not None}
    spec = parse_spec(text)
    options = build_from_spec(spec, {name: each.make_options for name, each in formats.items()}, "format")
    found = formats[spec.name]
    if not found.is_available():
        raise SpecError(f"format '{spec.name}' needs {found.plugin}: pip install 'deepot[formats]'")
    return OutputFormat(found, options)


def find_unwritable_format(name: str, format_spec: str) -> str | None:
    """Return the format that a name shows and that results cannot have; None if the name does not rule them out.

    Args:
        name: of a photo that has not been read.
        format_spec: as for `parse_output_format`; with `same`, formats that are only read have no results.

    Example:
        >>> find_unwritable_format("scan.GIF", "same"), find_unwritable_format("scan.GIF", "png")
        ('GIF', None)
    """
    if parse_output_format(format_spec) is not None:
        return None
    formats = (each for each in registry.FORMATS if name.lower().endswith(each.extensions))
    return next((each.name for each in formats if not each.writable), None)


def unsupported_reason(
    image_format: ImageFormat, pages: Sequence[Pixels], bits: int, profile: bytes | None = None, scale: int = 1
) -> str | None:
    """Return why a format cannot hold a photo without loss of bits, channels, colours or pixels; None if it can.

    Args:
        image_format: the format.
        pages: the pages of the photo.
        bits: bits per sample of the photo, of which pixels of 16 bits may have fewer.
        profile: the ICC profile of the photo.
        scale: how many times larger the pages to be written will be along each axis.
    """
    can = image_format.capabilities
    if len(pages) > 1 and not can.multi_page:
        return f"it has {len(pages)} pages; supported by {_list_formats(lambda each: each.multi_page)}"
    if (n_bytes := sum(page.n_bytes for page in pages) * scale**2) > can.max_sample_bytes:
        return f"{n_bytes} bytes of samples are more than a file can hold: {can.max_sample_bytes}"
    reasons = (
        _find_channel_reason(can, page, bits)
        or _find_colour_reason(can, page, profile)
        or _find_size_reason(can, page, scale)
        for page in pages
    )
    return next(filter(None, reasons), None)


def _find_channel_reason(can: Capabilities, page: Pixels, bits: int) -> str | None:
    """Return why a format cannot hold the bits or channels of a page; None if it can."""
    if page.bit_depth == 16 and max(bits, 9) > can.max_bits:
        return f"its {bits} bits per sample would be cut to {can.max_bits}; {bits} are supported by " + _list_formats(
            lambda each: each.max_bits >= bits
        )
    if page.samples.shape[2] == 4 and not can.cmyk:
        return f"it is CMYK; supported by {_list_formats(lambda each: each.cmyk)}"
    is_grey = page.samples.shape[2] == 1
    if is_grey and not can.grey:
        return f"it is grey, and would become RGB; supported by {_list_formats(lambda each: each.grey)}"
    if page.alpha is not None and not can.alpha:
        return f"it has an alpha channel; supported by {_list_formats(lambda each: each.alpha)}"
    if is_grey and page.alpha is not None and not can.grey_extras:
        holders = _list_formats(lambda each: each.grey and each.alpha and each.grey_extras)
        return f"it is grey with an alpha channel; supported by {holders}"
    return None


def _find_colour_reason(can: Capabilities, page: Pixels, profile: bytes | None) -> str | None:
    """Return why a format cannot hold the colours that a profile gives a page; None if it can."""
    is_grey = page.samples.shape[2] == 1
    use = classify_profile(profile, page.samples.shape[2])
    if use not in (ProfileUse.CONVERTED, ProfileUse.UNUSABLE) or (can.icc and (can.grey_extras or not is_grey)):
        return None
    known = "its colours need its ICC profile" if use is ProfileUse.CONVERTED else "its ICC profile is unreadable"
    holders = _list_formats(lambda each: each.icc and (not is_grey or (each.grey and each.grey_extras)))
    return f"{known}, which cannot be written there; supported by {holders}"


def _find_size_reason(can: Capabilities, page: Pixels, scale: int) -> str | None:
    """Return why a format cannot hold a page of that size; None if it can."""
    shorter, longer = sorted((page.width * scale, page.height * scale))
    allowed = min(can.max_side, can.max_strip_side) if shorter < STRIP_PIXELS else can.max_side
    if longer <= allowed:
        return None
    return f"its {longer} pixels along one side are more than {allowed}; supported by " + _list_formats(
        lambda each: longer <= (each.max_strip_side if shorter < STRIP_PIXELS else each.max_side)
    )


def _list_formats(holds: Callable[[Capabilities], bool]) -> str:
    """Return the names, for `output.format`, of the formats whose capabilities suffice."""
    *names, last = [each.spec_name for each in registry.FORMATS if each.spec_name and holds(each.capabilities)]
    return f"{', '.join(names)} and {last}" if names else last
