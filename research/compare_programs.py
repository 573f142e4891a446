"""What ImageMagick, libvips and deepot keep of photos that they read and write again in the same format.

    python -m tests.support.corpus_files corpus
    python research/compare_programs.py corpus CASES --verbose --json bench-output/compare_programs.json

Nothing is changed between reading and writing. The others get the options that their documentation gives for this:
all pages, lossless coding of what was lossless, quality 95 of libvips for what was not. Judges are ExifTool (metadata),
pngcheck (PNG) and deepot's decoder (samples); of each property the table counts the files that have it and that the
program wrote at all. Files that deepot refuses count for the row about raw photos only. ExifTool, pngcheck, ImageMagick
and libvips must be installed.
"""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks._results import make_parser, save_results
from pipeline.errors import ImageError
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.image_format import DecodedImage

Tags = Mapping[str, Any]
_MAX_MEAN_ERROR = 8.0  # of 255, after lossy compression: another picture differs by more, another quality by less
_LAYOUT = ("Offsets", "ByteCounts", "Compression", "Width", "Height", "Length", "PerSample", "PerStrip", "Predictor",
           "JPEGTables", "SampleFormat", "PlanarConfiguration", "Interpretation", "FillOrder", "ExtraSamples",
           "SubfileType", "JPEGInterchangeFormat", "ThumbnailImage", "Subsampling", "Positioning")  # fmt: skip
_GEOTIFF = ("ModelTiePoint", "PixelScale", "ModelTransform")
_EXIF_GROUPS = ("IFD0", "ExifIFD", "GPS", "InteropIFD", "IFD1")
_VIPS_OPTIONS = {".webp": "lossless", ".jp2": "lossless", ".jxl": "lossless", ".png": "", ".tif": "compression=deflate"}
_MAGICK_OPTIONS = {".webp": ("-define", "webp:lossless=true"), ".jp2": ("-quality", "0")}
_PAGED = (".tif", ".webp", ".heic", ".avif")


@dataclass
class Outcome:
    """What a program made of a file: the file, or None, and what it printed about problems."""

    path: Path | None
    message: str = ""


@dataclass
class Sample:
    """A photo as it goes in."""

    path: Path
    tags: Tags
    photo: DecodedImage | None
    is_lossless: bool


def run(*command: object) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, whatever its exit status."""
    return subprocess.run([str(part) for part in command], capture_output=True, timeout=120, check=False)


def read_tags(paths: Iterable[Path]) -> dict[Path, Tags]:
    """Return ExifTool's tags of files, by path."""
    shown = json.loads(run("exiftool", "-json", "-G1", "-s", "-a", "-b", *paths).stdout)
    return {Path(tags["SourceFile"]): tags for tags in shown}


def load(path: Path) -> DecodedImage | None:
    """Return a photo; None if deepot refuses it."""
    try:
        return decode(path.read_bytes(), sys.maxsize)
    except ImageError:
        return None


def has_lossless_coding(photo: DecodedImage) -> bool:
    """Whether a photo is written losslessly by `output.format: same`."""
    matching = photo.matching_format
    judge = getattr(matching.format, "is_lossless", None) if matching else None
    return bool(matching and (judge is None or judge(matching.options)))


def write_with_deepot(sample: Sample, target: Path, *, strip: bool) -> Outcome:
    """Decode and encode; the message is the error, or what `damaged_metadata` names."""
    try:
        photo = decode(sample.path.read_bytes(), sys.maxsize)
        target.write_bytes(encode(photo, photo.pages, "same", "strip-gps" if strip else "keep"))
    except ImageError as error:
        return Outcome(None, str(error))
    return Outcome(target, photo.properties["damaged_metadata"] or "")


def write_with_imagemagick(sample: Sample, target: Path, *, strip: bool) -> Outcome:
    """Convert; to strip, all profiles but that of the colours are removed."""
    options = _MAGICK_OPTIONS.get(sample.path.suffix, ()) if sample.is_lossless else ()
    removed = ("+profile", "!icc,*") if strip else ()
    return _finish(run("convert", sample.path, *removed, *options, target), target)


def write_with_vips(sample: Sample, target: Path, *, strip: bool) -> Outcome:
    """Copy, all pages if they can be; to strip, all metadata are removed, as this version has no finer choice."""
    suffix = sample.path.suffix
    options = [_VIPS_OPTIONS.get(suffix, "") if sample.is_lossless else "Q=95", "strip" if strip else ""]
    result = f"{target}[{','.join(filter(None, options))}]"
    if suffix in _PAGED and (outcome := _finish(run("vips", "copy", f"{sample.path}[n=-1]", result), target)).path:
        return outcome
    return _finish(run("vips", "copy", sample.path, result), target)


def _finish(done: subprocess.CompletedProcess[bytes], target: Path) -> Outcome:
    written = done.returncode == 0 and target.exists()
    return Outcome(target if written else None, done.stderr.decode(errors="replace").strip())


PROGRAMS: dict[str, Callable[..., Outcome]] = {
    "deepot": write_with_deepot,
    "ImageMagick": write_with_imagemagick,
    "libvips": write_with_vips,
}


def mean_error(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the mean absolute difference of samples, of 255; infinity if the sizes differ. Grey may be RGB."""
    one, other = (np.repeat(each, 3, 2) if each.shape[2] == 1 else each for each in (one, other))
    if one.shape != other.shape:
        return float("inf")
    levels = (each.astype(np.float64) * 255 / np.iinfo(each.dtype).max for each in (one, other))
    return float(np.abs(next(levels) - next(levels)).mean())


def has_same_samples(sample: DecodedImage, result: DecodedImage, limit: float) -> bool:
    """Whether the first pages have the same samples, up to a mean error, as stored or as shown."""
    return mean_error(sample.pixels.samples, result.pixels.samples) <= limit or is_shown_alike(sample, result, limit)


def is_shown_alike(sample: DecodedImage, result: DecodedImage, limit: float) -> bool:
    """Whether the first pages have the same samples after each is turned as its orientation says."""
    one, other = (photo.pixels.apply_orientation(photo.properties["orientation"]) for photo in (sample, result))
    return mean_error(one.samples, other.samples) <= limit


def select(tags: Tags, groups: tuple[str, ...]) -> dict[str, Any]:
    """Return the tags of groups whose names begin so, without those that describe the coding of the samples."""
    return {
        tag: value
        for tag, value in tags.items()
        if tag.partition(":")[0].startswith(groups) and not tag.endswith((*_LAYOUT, "Orientation"))
    }


def count_pages(path: Path) -> int:
    """Return the directories of a TIFF, those inside pages included."""
    with tifffile.TiffFile(io.BytesIO(path.read_bytes())) as file:
        return sum(1 + len(page.subifds or ()) for page in file.pages if isinstance(page, tifffile.TiffPage))


def has_location(tags: Tags) -> bool:
    """Whether ExifTool finds coordinates."""
    return any(word in tag for tag in tags for word in ("GPSLatitude", "GPSPosition", "XMP-georss", "Lat_long"))


@dataclass
class Tally:
    """How many files of those that have a property kept it, and the names of those that did not."""

    total: int = 0
    lost: list[str] = field(default_factory=list)

    def add(self, name: str, *, kept: bool) -> None:
        """Count a file."""
        self.total += 1
        if not kept:
            self.lost.append(name)

    def __str__(self) -> str:
        return f"{self.total - len(self.lost)} of {self.total}" if self.total else "–"


def judge_result(sample: Sample, path: Path, tags: Tags) -> dict[str, bool]:
    """Return which properties of a sample a result has; those that the sample lacks are left out."""
    before, after = sample.photo, load(path)
    found: dict[str, bool] = {}
    if before is None:
        return found
    bits = before.properties["bit_depth"]
    one_level = 255 / ((1 << bits) - 1) if 8 < bits < 16 else 0  # rounding between 9 to 15 bits and 16
    limit = one_level if sample.is_lossless else _MAX_MEAN_ERROR
    same = after is not None and has_same_samples(before, after, limit)
    found["same samples, lossless formats" if sample.is_lossless else "same picture, lossy formats"] = same
    if sample.path.suffix == ".png":
        found["PNG without fault"] = run("pngcheck", "-q", path).returncode == 0
    if bits > 8:
        found["9 to 16 bits"] = after is not None and after.properties["bit_depth"] == bits
    if before.pixels.alpha is not None:
        kept = after is not None and after.pixels.alpha is not None
        found["transparency"] = kept
    if before.properties["orientation"] != 1:
        found["orientation"] = after is not None and is_shown_alike(before, after, _MAX_MEAN_ERROR)
    if before.properties["pages"] > 1 or before.properties["other_pages"]:
        found["all pages of a TIFF"] = count_pages(path) == count_pages(sample.path)
    for name, groups in (("profile", ("ICC",)), ("EXIF", _EXIF_GROUPS), ("XMP", ("XMP",)), ("IPTC", ("IPTC",))):
        if (
            sample.path.suffix == ".tif"
            and name == "EXIF"
            and not any(tag.startswith("ExifIFD") for tag in sample.tags)
        ):
            continue
        if expected := select(sample.tags, groups):
            result = select(tags, groups)
            found[f"{name} complete"] = all(result.get(tag) == value for tag, value in expected.items())
    return found


def judge_stripped(sample: Sample, tags: Tags) -> dict[str, bool]:
    """Return whether a result without coordinates has none, and whether it has the profile and the other EXIF."""
    kept = ("ICC", "IFD0", "ExifIFD")
    expected, result = select(sample.tags, kept), select(tags, kept)
    gone = not has_location(tags)
    rest = all(
        result.get(tag) == value for tag, value in expected.items() if not tag.endswith(_GEOTIFF) and "GPS" not in tag
    )
    return {"coordinates removed": gone, "coordinates removed, all else kept": gone and rest}


def judge_refused(sample: Sample, outcome: Outcome) -> dict[str, bool]:
    """Return whether a raw photo was refused or developed, not replaced by the preview inside it."""
    if "DNGVersion" not in " ".join(sample.tags):
        return {}
    if outcome.path is None:
        return {"raw not replaced by its preview": True}
    shown = run("identify", "-format", "%w %h ", f"{outcome.path}[0]").stdout.split()
    previews = {(str(sample.tags.get("IFD0:ImageWidth")), str(sample.tags.get("IFD0:ImageHeight")))}
    return {"raw not replaced by its preview": tuple(part.decode() for part in shown[:2]) not in previews}


def judge_message(sample: Sample, outcome: Outcome) -> dict[str, bool]:
    """Return whether a program says something about a PNG in which pngcheck finds a fault."""
    if sample.path.suffix != ".png" or run("pngcheck", "-q", sample.path).returncode == 0:
        return {}
    return {"faults of a PNG reported": bool(outcome.message)}


def find_samples(folders: Iterable[Path]) -> list[Sample]:
    """Return the files of folders with their tags."""
    paths = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
    tags, found = read_tags(paths), []
    for path in paths:
        photo = load(path)
        found.append(Sample(path, tags[path], photo, photo is not None and has_lossless_coding(photo)))
    return found


def compare(samples: list[Sample], write: Callable[..., Outcome], folder: Path) -> dict[str, Tally]:
    """Return the tallies of a program by property."""
    tallies: dict[str, Tally] = {}
    plain = [write(sample, folder / sample.path.name, strip=False) for sample in samples]
    located = [sample for sample in samples if has_location(sample.tags)]
    stripped = {sample.path: write(sample, folder / f"stripped-{sample.path.name}", strip=True) for sample in located}
    tags = read_tags(outcome.path for outcome in (*plain, *stripped.values()) if outcome.path)
    for sample, result in zip(samples, plain, strict=True):
        found = judge_refused(sample, result) | judge_message(sample, result)
        if sample.photo is not None:
            found["read and written"] = result.path is not None
        if result.path is not None:
            found |= judge_result(sample, result.path, tags[result.path])
        bare = stripped.get(sample.path)
        if bare is not None and bare.path is not None:
            found |= judge_stripped(sample, tags[bare.path])
        for name, kept in found.items():
            tallies.setdefault(name, Tally()).add(sample.path.name, kept=kept)
    return tallies


ROWS = (
    *("read and written", "same samples, lossless formats", "same picture, lossy formats", "9 to 16 bits"),
    *("transparency", "orientation", "all pages of a TIFF", "profile complete", "EXIF complete", "XMP complete"),
    *("IPTC complete", "coordinates removed", "coordinates removed, all else kept", "PNG without fault"),
    *("raw not replaced by its preview", "faults of a PNG reported"),
)


def main() -> None:
    """Let each program write all samples, and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of photos")
    parser.add_argument("--verbose", action="store_true", help="name the files behind every number")
    options = parser.parse_args()
    for tool in ("exiftool", "pngcheck", "convert", "identify", "vips"):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is not installed")
    samples = find_samples(options.folders)
    results: dict[str, dict[str, Tally]] = {}
    for name, write in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = compare(samples, write, Path(folder))
    print(f"{len(samples)} files; {run('convert', '-version').stdout.decode().split(' https')[0]}; "
          f"{run('vips', '--version').stdout.decode().strip()}\n")  # fmt: skip
    print(f"| of the files that have it | {' | '.join(results)} |\n|{' --- |' * (len(results) + 1)}")
    for row in ROWS:
        print(f"| {row} | {' | '.join(str(tallies.get(row, Tally())) for tallies in results.values())} |")
    if options.verbose:
        for name, tallies in results.items():
            for row in ROWS:
                if row in tallies and tallies[row].lost:
                    print(f"{name}, {row}: {', '.join(tallies[row].lost)}")
    lost = {name: {row: tally.lost for row, tally in tallies.items()} for name, tallies in results.items()}
    save_results(options.json, options, lost)


if __name__ == "__main__":
    main()
