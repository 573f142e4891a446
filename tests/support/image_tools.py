"""Programs that judge results independently of the libraries that deepot uses."""

import base64
import json
import shutil
import subprocess
from functools import lru_cache

import numpy as np
import pytest
from PIL import ImageCms


@lru_cache
def is_installed(program):
    """Whether a program is there; under ImageMagick's names there may be a script that only shows PNG files."""
    if shutil.which(program) is None:
        return False
    if program not in ("convert", "identify"):
        return True
    return b"ImageMagick" in subprocess.run([program, "-version"], capture_output=True, timeout=120).stdout


def run_tool(*command, **options):
    """The output of a program; skips the test if it is not installed."""
    if not is_installed(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=120, **options)
    assert done.returncode == 0, (command, done.stderr.decode(errors="replace"))
    return done.stdout


def decode_with_imagemagick(path, *operations, channels="rgb", size=None):
    """Samples (H, W, C) of 8 bits, as ImageMagick reads a file after operations such as -auto-orient."""
    if size is None:
        shown = run_tool("convert", path, *operations, "-format", "%w %h", "info:").split()
        size = int(shown[0]), int(shown[1])
    data = run_tool("convert", path, *operations, "-depth", 8, f"{channels}:-")
    return np.frombuffer(data, np.uint8).reshape(size[1], size[0], len(channels))


def decode_all_with_imagemagick(paths, *operations, size):
    """Samples (N, H, W, 3) of 8 bits of N files of one size, in one call: see `decode_with_imagemagick`."""
    data = run_tool("convert", *paths, *operations, "-depth", 8, "rgb:-")
    return np.frombuffer(data, np.uint8).reshape(len(paths), size[1], size[0], 3)


def decode_each_with_imagemagick(paths, srgb_path):
    """Samples (H, W, 3) of 8 bits of the first page of each file, {path: samples}, in two calls.

    They are converted to sRGB by the profile in the file, and without one taken for sRGB. `srgb_path` gets the profile
    of sRGB.
    """
    srgb_path.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    pages = [f"{path}[0]" for path in paths]
    numbers = map(int, run_tool("identify", "-format", "%w %h ", *pages).split())
    sizes = list(zip(numbers, numbers, strict=True))
    data = run_tool("convert", *pages, "-intent", "relative", "-profile", srgb_path, "-depth", 8, "rgb:-")
    assert len(data) == sum(3 * width * height for width, height in sizes)
    found, start = {}, 0
    for path, (width, height) in zip(paths, sizes, strict=True):
        end = start + 3 * width * height
        found[path], start = np.frombuffer(data[start:end], np.uint8).reshape(height, width, 3), end
    return found


def read_tags_with_exiftool(paths):
    """{path: {"group:tag": value}} of files, in one call; long binary values are replaced by their sizes."""
    shown = json.loads(run_tool("exiftool", "-json", "-G1", "-s", "-a", *paths))
    found = {tags["SourceFile"]: tags for tags in shown}
    return {path: found[str(path)] for path in paths}


def read_profile_with_exiftool(path):
    """The ICC profile in a file, as ExifTool finds it."""
    return run_tool("exiftool", "-icc_profile", "-b", path)


def read_profiles_with_exiftool(paths):
    """The ICC profiles in files, as ExifTool finds them, in one call; b"" where there is none."""
    shown = json.loads(run_tool("exiftool", "-json", "-icc_profile", "-b", *paths))
    found = (each.get("ICC_Profile", "base64:").removeprefix("base64:") for each in shown)
    return [base64.b64decode(each) for each in found]
