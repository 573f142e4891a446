"""Show what a job makes of a few photos at several α, on one page, before anything is run."""

import argparse
import shlex
from pathlib import Path

from jobs.console import print_json, print_line
from jobs.flags import (
    JOB_SUFFIXES,
    add_code_flag,
    add_json_flag,
    add_key_flags,
    add_page_flag,
    key_values,
    run_options_from_args,
    whole_number,
)
from pipeline import config, preview, sources, storage
from pipeline.errors import ConfigError

_FOLDER = "deepot-preview"
_STRENGTH_KEYS = ("transport.alpha", "transport.strength")  # the page adds one to the command
_DEFAULT = preview.PreviewOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the job file or the photos, what is shown of them, and the flags of a job."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="JOB.yaml | PHOTO",
        help="a job file, and photos of its input to show; or photos, or a folder of photos, without a job file",
    )
    parser.add_argument(
        "--photos",
        type=whole_number(1),
        default=_DEFAULT.limit,
        metavar="NUMBER",
        help="how many photos to show if none are named (default: %(default)s)",
    )
    parser.add_argument(
        "--max-side",
        type=whole_number(64),
        default=_DEFAULT.max_side,
        metavar="PIXELS",
        help="of larger photos only the middle is shown, at most this many pixels wide and high (default: %(default)s)",
    )
    add_page_flag(parser, f"{_FOLDER}.html")
    add_code_flag(parser)
    add_json_flag(parser)
    add_key_flags(parser)


def main(args: argparse.Namespace) -> int:
    """Render the photos, write the page and print where it is."""
    job, names, command = _job_and_photos(args)
    found = preview.preview_job(
        job, run_options_from_args(args), preview.PreviewOptions(names, args.photos, args.max_side)
    )
    page = storage.absolute_uri(args.page)
    storage.write(page, preview.render_preview_page(found, lambda alpha: f"{command} --alpha {alpha:g}").encode())
    for uri, reason in found.unusable:
        print_line(f"left out {uri}: {reason}")
    print_line(f"photos   {len(found.photos)}: {', '.join(photo.entry.key for photo in found.photos)}")
    chosen = found.points[found.chosen]
    print_line(f"shown    {chosen.name}, α = {chosen.alpha:g}, and {len(found.points)} other versions of each")
    print_line(f"page     {page}")
    print_line(f"next     {command}")
    if args.json:
        print_json(
            page=page,
            photos=[photo.entry.uri for photo in found.photos],
            unusable=[uri for uri, _ in found.unusable],
            points=[{"mode": point.name, "alpha": point.alpha} for point in found.points],
        )
    return 0


def _job_and_photos(args: argparse.Namespace) -> tuple["config.Job", tuple[str, ...], str]:
    """Return the job, the names of photos of its input to show, and the command that runs it.

    Raises:
        ConfigError: there is neither a job file nor a photo, or the job is not valid.
    """
    keys = key_values(args)
    flags = [part for key, value in keys.items() for part in (f"--{key}", _to_text(value)) if key not in _STRENGTH_KEYS]
    if args.sources and args.sources[0].lower().endswith(JOB_SUFFIXES):
        job_file, *names = args.sources
        return config.load_job(job_file, keys), tuple(names), shlex.join(["deepot", "run", job_file, *flags])
    if args.sources:
        keys = {"input": _input_of(args.sources), "output": f"{_FOLDER}/enhanced"} | keys
    if "input" not in keys and "input.images" not in keys:
        raise ConfigError("name a job file, or photos and what happened to them, such as --degradation noise:sigma=25")
    added = {key: str(keys[key]) for key in ("input", "output") if key in keys and f"--{key}" not in flags}
    flags += [part for key, value in added.items() for part in (f"--{key}", value)]
    return config.load_job(None, keys), (), shlex.join(["deepot", "run", *flags])


def _to_text(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


def _input_of(photos: list[str]) -> str:
    """Return the URI of an input that consists of these photos: a list, if there are several."""
    if len(photos) == 1:
        return photos[0]
    for photo in photos:
        if storage.is_local_path(photo) and not storage.exists(storage.absolute_uri(photo)):
            raise ConfigError(f"there is no photo {photo}")
    Path(_FOLDER).mkdir(exist_ok=True)
    path = Path(_FOLDER, "photos.txt")
    path.write_text(sources.format_lines(storage.absolute_uri(photo) for photo in photos), encoding="utf-8")
    return str(path)
