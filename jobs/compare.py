"""Wasserstein distance between the latent patches of two collections, from their moments files."""

import argparse
import math

from deepot.gaussian import wasserstein2_squared
from deepot.moments import Moments, merge_in_order
from jobs.console import show_json
from jobs.flags import add_output
from pipeline.errors import StorageError
from pipeline.storage import absolute, join, names, read


def add(parser: argparse.ArgumentParser) -> None:
    """Two sets of moments."""
    for place in ("first", "second"):
        parser.add_argument(
            place, metavar="MOMENTS", help="a moments file, or a folder of them (a run's moments/source)"
        )
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Print the distance and how much of it is a shift of the mean."""
    first, second = (_moments(absolute(uri)) for uri in (options.first, options.second))
    a, b = first.gaussian(), second.gaussian()
    if first.dimension != second.dimension:
        first.merge(second)  # says what does not fit
    distance = math.sqrt(wasserstein2_squared(a, b))
    shift = float((a.mean - b.mean).norm())
    print(f"first    {first.images} images, {first.count} latent patches")
    print(f"second   {second.images} images, {second.count} latent patches")
    print(f"W2       {distance:.4f}, of which the means are {shift:.4f} apart")
    if options.json:
        show_json(wasserstein2=distance, mean_shift=shift, images=[first.images, second.images])
    return 0


def _moments(uri: str) -> Moments:
    """The moments of a file, or of all files of a folder merged in the order of their names."""
    try:
        if uri.endswith(".safetensors"):
            return Moments.from_bytes(read(uri), uri)
    except FileNotFoundError as error:
        raise StorageError(f"{uri}: there is no such file") from error
    found = sorted(name for name in names(uri) if name.endswith(".safetensors"))
    if not found:
        raise StorageError(f"{uri}: no moments files there (a run keeps them in moments/source and moments/reference)")
    return merge_in_order(Moments.from_bytes(read(join(uri, name)), join(uri, name)) for name in found)
