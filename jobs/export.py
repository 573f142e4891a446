"""Export photos of a run with their events and checksums, in layouts that other systems read."""

import argparse

from jobs.console import count_of, make_progress, print_json, print_line, print_skipped
from jobs.flags import add_json_flag, add_run_argument, run_from_args
from pipeline import exports
from pipeline.errors import ConfigError

_DERIVATIVES = ("access", "preservation")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the layout, and what is exported."""
    add_run_argument(parser)
    layouts = parser.add_mutually_exclusive_group(required=True)
    layouts.add_argument("--bagit", metavar="FOLDER", help="write a bag (BagIt 1.0) into an empty folder")
    layouts.add_argument(
        "--archivematica",
        metavar="FOLDER",
        help="write a standard transfer of Archivematica into an empty folder: inputs, with results as derivatives",
    )
    layouts.add_argument(
        "--iiif",
        metavar="BASE_URL",
        help="write IIIF manifests and tiles into the folder --to, which a web server will serve at this URL",
    )
    _add_iiif_arguments(parser)
    parser.add_argument(
        "--where", default="true", metavar="SQL", help="only rows for which this is true, as for deepot select"
    )
    parser.add_argument(
        "--names",
        metavar="TEMPLATE",
        help="names of results, e.g. {stem}_enh{suffix} in the folders of the input, or /{id}{suffix} in one; also "
        "{folder} and {page} (default: the names that they have)",
    )
    parser.add_argument("--originals", action="store_true", help="with --bagit: put the inputs into the bag too")
    parser.add_argument(
        "--info",
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="with --bagit: an entry of bag-info.txt, e.g. Source-Organization=Archive; may be given several times",
    )
    parser.add_argument(
        "--derivative",
        choices=_DERIVATIVES,
        default="access",
        help="with --archivematica: what the results are (default: access)",
    )
    add_json_flag(parser)


def _add_iiif_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="FOLDER", help="with --iiif: the empty folder to write")
    parser.add_argument("--label", metavar="TEXT", help="with --iiif: name of the collection (default: the run)")
    parser.add_argument("--rights", metavar="URI", help="with --iiif: URI of a licence or rights statement")
    parser.add_argument("--attribution", metavar="TEXT", help="with --iiif: a statement that viewers must show")
    parser.add_argument(
        "--language", metavar="TAG", default="none", help="with --iiif: language of --label and --attribution, e.g. en"
    )


def main(args: argparse.Namespace) -> int:
    """Write the export; return 1 if the result of a selected photo is not in it."""
    run = run_from_args(args)
    if (args.iiif is None) != (args.to is None):
        raise ConfigError("--iiif and --to belong together: manifests have URLs, and lie in a folder")
    if args.iiif is not None and args.names is not None:
        raise ConfigError("--names is not for --iiif, whose URLs follow from the names of the photos: leave it out")
    if args.iiif is not None:
        label = args.label or f"deepot {run.fingerprint}"
        iiif = exports.IiifOptions(args.iiif, label, args.rights, args.attribution, args.language)
        done = exports.export_iiif(run, exports.ExportOptions(args.to, args.where), iiif, make_progress())
    elif args.bagit is not None:
        options = exports.ExportOptions(args.bagit, args.where, args.names)
        done = exports.export_bag(
            run, options, _parse_info(args.info), originals=args.originals, progress=make_progress()
        )
    else:
        options = exports.ExportOptions(args.archivematica, args.where, args.names)
        done = exports.export_archivematica(run, options, exports.Derivative(args.derivative), make_progress())
    return _print_summary(done, as_json=args.json)


def _parse_info(entries: list[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in entries]
    if wrong := [entry for entry, (_, sign, _) in zip(entries, pairs, strict=True) if not sign]:
        raise ConfigError(f"--info '{wrong[0]}' has no value: write LABEL=VALUE, e.g. Source-Organization=Archive")
    return {label.strip(): value.strip() for label, _, value in pairs}


def _print_summary(done: "exports.ExportSummary", *, as_json: bool) -> int:
    print_line(f"written  {count_of(done.photos, 'result')}, {count_of(done.files, 'file')} in {done.uri}")
    print_skipped(done.skipped, done.n_skipped)
    if as_json:
        print_json(written=done.photos, files=done.files, bytes=done.size, skipped=done.n_skipped, uri=done.uri)
    return int(done.n_skipped > 0)
