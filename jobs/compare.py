"""Compare collections of photos by the Wasserstein distances between their latent patches."""

import argparse

from jobs.console import count_of, print_json, print_line
from jobs.flags import add_json_flag, file_with_suffix
from pipeline import curation, storage
from pipeline.errors import ConfigError
from pipeline.escaping import escape


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the collections to compare and how to show the distances."""
    parser.add_argument(
        "moments",
        nargs="+",
        metavar="MOMENTS",
        help="a moments file, or a folder of them such as moments/source of a calibration",
    )
    parser.add_argument(
        "--label", action="append", metavar="NAME", help="name of a collection, one per MOMENTS (default: its URI)"
    )
    parser.add_argument(
        "--plot", type=file_with_suffix(".png"), metavar="FILE.png", help="write the distances as a picture"
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Print the distances and, for two collections, the part of it that is a shift of the mean."""
    uris, labels = args.moments, args.label or args.moments
    if len(uris) < 2 or len(labels) != len(uris):
        raise ConfigError(
            f"{len(uris)} collections with {len(labels)} labels: give at least two collections, and one label for each"
        )
    collections = curation.load_moments([storage.absolute_uri(uri) for uri in uris])
    matrix = curation.pairwise_distances(collections)
    for number, (label, moments) in enumerate(zip(labels, collections, strict=True), 1):
        print_line(f"{number:<8} {label}: {count_of(moments.images, 'photo')}, {moments.count} latent patches")
    record: dict[str, object] = {"images": [moments.images for moments in collections]}
    if len(collections) == 2:
        shift = curation.mean_shift(*collections)
        print_line(f"W2       {matrix[0, 1]:.4f}; the means are {shift:.4f} apart")
        record = {"wasserstein2": float(matrix[0, 1]), "mean_shift": shift, **record}
    else:
        print_line("W2      " + "".join(f"{number:9}" for number in range(1, len(collections) + 1)))
        for number, row in enumerate(matrix, 1):
            print_line(f"{number:8}" + "".join(f"{value:9.4f}" for value in row))
        record = {"wasserstein2": matrix.tolist(), "labels": labels, **record}
    if args.plot:
        plot = curation.plot_distances([escape(label) for label in labels], matrix)
        storage.write(storage.absolute_uri(args.plot), plot)
        print_line(f"plot     {args.plot}")
    if args.json:
        print_json(**record)
    return 0
