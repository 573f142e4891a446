"""Sign the results of a run with content credentials (C2PA), beside them or in copies of them."""

import argparse
import os

from jobs.console import Color, make_progress, print_json, print_line
from jobs.flags import add_json_flag, add_run_argument, run_from_args, whole_number
from pipeline import provenance
from pipeline.errors import ConfigError

_ALGORITHMS = ("es256", "es384", "ps256", "ed25519")
_MAX_JOBS, _DEFAULT_JOBS = 64, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the signer, and where credentials go."""
    add_run_argument(parser)
    parser.add_argument(
        "--certificate",
        required=True,
        metavar="FILE",
        help="certificates in PEM: the signer's first, then those that issued it",
    )
    parser.add_argument(
        "--key", metavar="FILE", help="the private key in PEM, or env:NAME for a variable that holds it"
    )
    parser.add_argument(
        "--signer",
        metavar="MODULE:FACTORY",
        help="makes a function that signs bytes, instead of a key; needs --allow-code",
    )
    parser.add_argument("--allow-code", action="store_true", help="allow --signer, which imports and runs that module")
    parser.add_argument(
        "--algorithm", choices=_ALGORITHMS, default="es256", help="algorithm of the signatures (default: es256)"
    )
    parser.add_argument(
        "--timestamp-url",
        metavar="URL",
        help="timestamp authority (RFC 3161) that dates each signature (default: none)",
    )
    parser.add_argument(
        "--embed", action="store_true", help="write copies of the results with credentials in them; needs --out"
    )
    parser.add_argument("--out", metavar="URI", help="folder of the copies; the results themselves stay as they are")
    parser.add_argument(
        "--jobs",
        type=whole_number(1, _MAX_JOBS),
        default=_DEFAULT_JOBS,
        metavar="NUMBER",
        help="how many results are signed at a time (default: %(default)s)",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Sign what has no credentials yet; return 1 if a result could not be signed."""
    if args.embed != (args.out is not None):
        raise ConfigError(
            "--embed and --out belong together: results are never rewritten, so copies with credentials need a folder"
        )
    run = run_from_args(args)
    options = provenance.SigningOptions(
        certificate=args.certificate,
        key=args.key,
        signer=args.signer,
        algorithm=provenance.SigningAlgorithm(args.algorithm),
        timestamp_url=args.timestamp_url,
        allow_code=args.allow_code or os.environ.get("DEEPOT_ALLOW_CODE") == "1",
    )
    done = provenance.sign_results(run, options, args.out, args.jobs, make_progress())
    for name, reason in done.problems:
        print_line(f"failed   {name}: {reason}", Color.RED)
    print_line(
        f"signed   {done.signed_now} results now, {done.signed_before} before; {done.left_out} left out, "
        f"{done.failed} failed"
    )
    print_line(f"tables   {done.tables}")
    if args.json:
        print_json(
            run=run.uri,
            tables=done.tables,
            signed_now=done.signed_now,
            signed_before=done.signed_before,
            left_out=done.left_out,
            failed=done.failed,
        )
    return int(done.failed > 0)
