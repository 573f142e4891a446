"""The formats that results are written in: the job's `output.format`, and what a format cannot hold."""

from collections.abc import Callable
from functools import lru_cache

from deepot.errors import SpecError
from deepot.photo import Pixels, ProfileUse, classify_profile
from deepot.spec import build_from_spec, parse_spec
from pipeline.imageio import registry
from pipeline.imageio.image_format import Capabilities, ImageFormat, OutputFormat


@lru_cache
def parse_output_format(text: str) -> OutputFormat | None:
    """Return the format that `output.format` names, e.g. `jpeg:quality=90,progressive=1`; None for `same`.

    Raises:
        SpecError: an unknown format or option, a value that it does not take, a plugin that is not installed.
    """
    if text.strip() == "same":
        return None
    formats = {each.spec_name: each for each in registry.FORMATS if each.spec_name is not None}
    spec = parse_spec(text)
    options = build_from_spec(spec, {name: each.make_options for name, each in formats.items()}, "format")
    found = formats[spec.name]
    if not found.is_available():
        raise SpecError(f"format '{spec.name}' needs {found.plugin}: pip install 'deepot[formats]'")
    return OutputFormat(found, options)


def unsupported_reason(
    image_format: ImageFormat, pixels: Pixels, bits: int, page_count: int, profile: bytes | None
) -> str | None:
    """Return why a format cannot hold a photo without loss of bits, channels or colours; None if it can.

    Args:
        image_format: the format.
        pixels: a page of the photo.
        bits: bits per sample of the photo, of which pixels of 16 bits may have fewer.
        page_count: how many pages the photo has.
        profile: the ICC profile of the photo.
    """
    can = image_format.capabilities
    if page_count > 1 and not can.multi_page:
        return f"it has {page_count} pages; supported by {_list_formats(lambda each: each.multi_page)}"
    if pixels.bit_depth == 16 and max(bits, 9) > can.max_bits:
        return f"its {bits} bits per sample would be cut to {can.max_bits}; {bits} are supported by " + _list_formats(
            lambda each: each.max_bits >= bits
        )
    if pixels.samples.shape[2] == 4 and not can.cmyk:
        return f"it is CMYK; supported by {_list_formats(lambda each: each.cmyk)}"
    if pixels.alpha is not None and not can.alpha:
        return f"it has an alpha channel; supported by {_list_formats(lambda each: each.alpha)}"
    is_grey = pixels.samples.shape[2] == 1
    if is_grey and not can.grey:
        return f"it is grey; supported by {_list_formats(lambda each: each.grey)}"
    if is_grey and pixels.alpha is not None and not can.grey_extras:
        return (
            "it is grey with an alpha channel; "
            f"supported by {_list_formats(lambda each: each.alpha and each.grey_extras)}"
        )
    use = classify_profile(profile, pixels.samples.shape[2])
    if use in (ProfileUse.CONVERTED, ProfileUse.UNUSABLE) and not (can.icc and (can.grey_extras or not is_grey)):
        known = "its colours need its ICC profile" if use is ProfileUse.CONVERTED else "its ICC profile is unreadable"
        return (
            f"{known}, which cannot be written there; "
            f"supported by {_list_formats(lambda each: each.icc and (each.grey_extras or not is_grey))}"
        )
    return None


def _list_formats(holds: Callable[[Capabilities], bool]) -> str:
    """Return the names, for `output.format`, of the formats whose capabilities suffice."""
    *names, last = [each.spec_name for each in registry.FORMATS if each.spec_name and holds(each.capabilities)]
    return f"{', '.join(names)} and {last}" if names else last
