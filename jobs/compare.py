"""Wasserstein distance between the latent patches of two or more collections, from their moments files."""

import argparse

from jobs.console import show_json
from jobs.flags import add_output, file_of
from pipeline.curation.distances import distances, load_moments, plot_distances
from pipeline.errors import ConfigError
from pipeline.storage.objects import absolute, put


def add(parser: argparse.ArgumentParser) -> None:
    """Sets of moments."""
    parser.add_argument(
        "moments", nargs="+", metavar="MOMENTS", help="a moments file, or a folder of them (a run's moments/source)"
    )
    parser.add_argument("--label", action="append", metavar="NAME", help="of each set in turn; default: its place")
    parser.add_argument(
        "--plot", type=file_of(".png"), metavar="FILE.png", help="the distances of all sets as a picture"
    )
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Print the distances and, of two sets, how much is a shift of the mean."""
    places, labels = options.moments, options.label or options.moments
    if len(places) < 2 or len(labels) != len(places):
        raise ConfigError(
            f"{len(places)} sets of moments with {len(labels)} labels: give two sets at least, a label each"
        )
    sets = load_moments([absolute(uri) for uri in places])
    found = distances(sets)
    for number, (label, moments) in enumerate(zip(labels, sets, strict=True), 1):
        print(f"{number:<8} {label}: {moments.images} images, {moments.count} latent patches")
    told: dict[str, object] = {"images": [moments.images for moments in sets]}
    if len(sets) == 2:
        shift = float((sets[0].gaussian().mean - sets[1].gaussian().mean).norm())
        print(f"W2       {found[0, 1]:.4f}, of which the means are {shift:.4f} apart")
        told = {"wasserstein2": float(found[0, 1]), "mean_shift": shift, **told}
    else:
        print("W2      " + "".join(f"{number:9}" for number in range(1, len(sets) + 1)))
        for number, row in enumerate(found, 1):
            print(f"{number:8}" + "".join(f"{value:9.4f}" for value in row))
        told = {"wasserstein2": found.tolist(), "labels": labels, **told}
    if options.plot:
        put(absolute(options.plot), plot_distances(labels, found))
        print(f"plot     {options.plot}")
    if options.json:
        show_json(**told)
    return 0
