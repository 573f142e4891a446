"""Select photos of a run with an SQL expression over the manifest, and export them."""

import argparse
from itertools import islice

from jobs.console import make_progress, print_json, print_line, print_skipped
from jobs.flags import add_json_flag, add_run_argument, run_from_args, whole_number
from pipeline import curation

_MAX_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the selection and where to export it."""
    add_run_argument(parser)
    parser.add_argument(
        "--where",
        default="true",
        metavar="SQL",
        help="condition over the columns of the manifest, e.g. \"status = 'ok' AND noise < 3\"",
    )
    parser.add_argument(
        "--order",
        default="file_name",
        metavar="SQL",
        help='what to sort by, e.g. "sharpness DESC" (default: file_name)',
    )
    parser.add_argument(
        "--map", default="", metavar="SHA256", help="only results of this map; the first digits are enough"
    )
    parser.add_argument("--limit", type=whole_number(1), metavar="NUMBER", help="select at most this many photos")
    parser.add_argument(
        "--to",
        metavar="TARGET",
        help="export as a list (NAME.txt), as Parquet (NAME.parquet) or as a folder of photos (FOLDER/)",
    )
    parser.add_argument(
        "--photos",
        choices=curation.PHOTO_KINDS,
        default="output",
        help="which photos lists and folders contain (default: output)",
    )
    parser.add_argument(
        "--layout",
        choices=curation.LAYOUTS,
        default=curation.LAYOUTS[0],
        help="how a folder holds photos: tar shards for WebDataset (default), or files for Hugging Face's imagefolder",
    )
    parser.add_argument(
        "--card",
        metavar="NAME",
        help="describe the folder as a dataset of this name: Croissant, a datasheet, and what was removed and why",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Export the selected photos, or print the first of them; return 1 if a photo could not be exported."""
    if args.to is None:
        columns: tuple[str, ...] = ("file_name",)
    else:
        columns = curation.LIST_COLUMNS if args.to.endswith(".txt") else curation.ALL_COLUMNS
    with curation.open_selection(
        run_from_args(args), args.where, args.order, args.limit, args.map, columns
    ) as selection:
        print_line(f"selected {len(selection)} photos")
        return _print_first(selection, json=args.json) if args.to is None else _export(selection, args)


def _print_first(selection: "curation.Selection", *, json: bool) -> int:
    """Print the names of the first selected photos."""
    names = (name for batch in selection.iter_batches() for name in batch["file_name"].to_pylist())
    for name in islice(names, _MAX_SHOWN):
        print_line(f"         {name}")
    if len(selection) > _MAX_SHOWN:
        print_line(f"         … {len(selection) - _MAX_SHOWN} more; --to writes all of them")
    if json:
        print_json(selected=len(selection))
    return 0


def _export(selection: "curation.Selection", args: argparse.Namespace) -> int:
    """Export the selected photos; return 1 if one of them could not be exported."""
    write_card = None
    if args.card is not None:
        question = curation.Question(args.card, args.where, args.limit, args.photos)
        write_card = curation.DatasetCard(run_from_args(args), selection, question)
    exported = curation.export_photos(
        selection, args.to, args.photos, make_progress(), layout=args.layout, write_card=write_card
    )
    print_line(f"written  {exported.photos} to {exported.uri}")
    print_skipped(exported.skipped, exported.n_skipped)
    if args.json:
        print_json(selected=len(selection), written=exported.photos, skipped=exported.n_skipped, uri=exported.uri)
    return int(exported.n_skipped > 0)
