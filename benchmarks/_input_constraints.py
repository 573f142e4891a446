"""What the input of a restored photo states about the result, as a run knows it from the job."""

import io

from PIL import Image

from deepot.inference import Constraint, JpegConstraint, ReductionConstraint, degrade_photo
from deepot.photo import Pixels
from deepot.restoration import Restorer, load_degradation, rng_for
from deepot.spec import parse_spec
from pipeline.imageio import read_coefficients


def compress(photo: Pixels, **options: int | str) -> bytes:
    """Return a photo as a JPEG file, written by Pillow with some options."""
    with io.BytesIO() as file:
        photo.to_image().save(file, "JPEG", **options)
        return file.getvalue()


def decode(data: bytes) -> Pixels:
    """Return the pixels of a JPEG file."""
    with Image.open(io.BytesIO(data)) as image:
        return Pixels.from_image(image)


def make_jpeg_constraint(data: bytes, restored: Pixels) -> JpegConstraint:
    """Return what a JPEG file states about its decoded pixels."""
    coefficients = read_coefficients(data)
    if coefficients is None:
        raise SystemExit("the coefficients of a file by Pillow cannot be read")
    return JpegConstraint(coefficients, restored.samples)


def make_constraint(degradation: str, restorer: Restorer, photo: Pixels, restored: Pixels) -> Constraint | None:
    """Return what the input of a photo states that was degraded by nothing but compression or reduction.

    Args:
        degradation: The degradation, as in a job file.
        restorer: What made `restored` of the degraded photo.
        photo: The photo before.
        restored: x*.

    Returns:
        None if the degradation or the restorer leaves nothing that is known of the result.
    """
    first, *others = degradation.split("+")
    spec = parse_spec(first)
    if others:
        return None
    if spec.name == "jpeg" and restorer.name == "identity":
        return make_jpeg_constraint(compress(photo, quality=int(spec.options["quality"])), restored)
    if spec.name == "downscale" and restorer.scale == int(spec.options["factor"]):
        small = degrade_photo(photo, load_degradation(degradation), rng_for(b""))
        return ReductionConstraint(small.samples, restorer.scale, restored.samples)
    return None


def project(result: Pixels, constraint: Constraint | None) -> Pixels:
    """Return a result projected onto a constraint; without one the result."""
    if constraint is None:
        return result
    projected = Pixels(result.samples.copy())
    constraint.project(projected)
    return projected
