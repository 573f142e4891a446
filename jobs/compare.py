"""Wasserstein distance between the latent patches of two or more collections, from their moments files."""

import argparse

from jobs.console import print_json
from jobs.flags import add_json_flag, file_with_suffix
from pipeline.curation import load_moments, pairwise_distances, plot_distances
from pipeline.errors import ConfigError
from pipeline.storage import absolute_uri, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sets of moments."""
    parser.add_argument(
        "moments", nargs="+", metavar="MOMENTS", help="a moments file, or a folder of them (a run's moments/source)"
    )
    parser.add_argument("--label", action="append", metavar="NAME", help="of each set in turn; default: its place")
    parser.add_argument(
        "--plot", type=file_with_suffix(".png"), metavar="FILE.png", help="the distances of all sets as a picture"
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Print the distances and, of two sets, how much is a shift of the mean."""
    uris, labels = args.moments, args.label or args.moments
    if len(uris) < 2 or len(labels) != len(uris):
        raise ConfigError(
            f"{len(uris)} sets of moments with {len(labels)} labels: give two sets at least, a label each"
        )
    sets = load_moments([absolute_uri(uri) for uri in uris])
    matrix = pairwise_distances(sets)
    for number, (label, moments) in enumerate(zip(labels, sets, strict=True), 1):
        print(f"{number:<8} {label}: {moments.images} images, {moments.count} latent patches")
    record: dict[str, object] = {"images": [moments.images for moments in sets]}
    if len(sets) == 2:
        shift = float((sets[0].gaussian().mean - sets[1].gaussian().mean).norm())
        print(f"W2       {matrix[0, 1]:.4f}, of which the means are {shift:.4f} apart")
        record = {"wasserstein2": float(matrix[0, 1]), "mean_shift": shift, **record}
    else:
        print("W2      " + "".join(f"{number:9}" for number in range(1, len(sets) + 1)))
        for number, row in enumerate(matrix, 1):
            print(f"{number:8}" + "".join(f"{value:9.4f}" for value in row))
        record = {"wasserstein2": matrix.tolist(), "labels": labels, **record}
    if args.plot:
        write(absolute_uri(args.plot), plot_distances(labels, matrix))
        print(f"plot     {args.plot}")
    if args.json:
        print_json(**record)
    return 0
