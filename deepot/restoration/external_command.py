"""A restorer that is a program: `external:COMMAND {in} {out}`.

The program is called for one photo at a time, without a shell. It finds the photo as an 8-bit RGB PNG where `{in}` is,
and writes its result where `{out}` is, as PNG or any other format that Pillow recognises by its content. What it writes
is checked (`find_output_fault`) and kept by the hash of its input (`OutputCache`), so that a second run over the same
photos calls it for none of them.
"""

import hashlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepot.errors import RestorerError, RestorerOutputError, SpecError
from deepot.restoration.output_cache import OutputCache, default_cache_folder
from deepot.restoration.output_check import DEFAULT_TOLERANCE, find_output_fault, find_size_fault
from deepot.spec import parse_options

PREFIX = "external:"
_OPTIONS = re.compile(r"(\w+=[^,:\s]*(?:,\w+=[^,:\s]*)*):(?=\s*\S)")
_DEFAULTS = {"scale": 1.0, "timeout": 600.0, "cache_gb": 10.0, "tolerance": DEFAULT_TOLERANCE}
_MAX_ERROR_BYTES = 4096  # of what a program has printed, its end
_HASH_BLOCK_BYTES = 1 << 20


class ExternalCommand:
    """The program as a function on images (1, 3, H, W) in [0, 1].

    Attributes:
        scale: how many times larger its output is along each axis.
        tiled: False, as it is given complete photos.
        checks_output: True, as it refuses what is no restoration.
        fingerprint: SHA-256 of the command and of the files that it names: the program, its script, its weights.
    """

    tiled, checks_output = False, True

    def __init__(self, text: str) -> None:
        """Read the spec.

        Args:
            text: `COMMAND` or `OPTIONS:COMMAND`. The command has `{in}` and `{out}`, each in one of its words. Options
                are separated by commas: `scale`, `timeout` in seconds for a photo, `cache_gb` (0: nothing is kept),
                and `tolerance` of the check in levels of 255.

        Raises:
            RestorerError: there is no such program on this machine.
            SpecError: an option is unknown or out of range, or the command cannot be read or has no `{in}` or `{out}`.
        """
        match = _OPTIONS.match(text)
        options = _read_options(match[1] if match else "", text)
        self._words = _split(text[match.end() :] if match else text, text)
        self.scale = int(options["scale"])
        self._timeout_s, self._tolerance = options["timeout"], options["tolerance"]
        self.fingerprint = _hash_command(self._words, options)
        folder = default_cache_folder() / f"external-{self.fingerprint[:16]}"
        self._cache = OutputCache(folder, round(options["cache_gb"] * 1e9))

    def __call__(self, images: Tensor) -> Tensor:
        """Restore an image (1, 3, H, W) in [0, 1] to (1, 3, H·scale, W·scale).

        Raises:
            RestorerError: the program fails, takes too long, or writes nothing.
            RestorerOutputError: what it writes is no image, or no restoration of this one.
        """
        samples = images[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().cpu().contiguous().numpy()
        key = hashlib.sha256(np.array(samples.shape).tobytes() + samples.tobytes()).hexdigest()
        stored = self._cache.get(key)
        data = self._run(samples) if stored is None else stored
        output = self._read(data, samples)
        if stored is None:
            self._cache.put(key, data)
        return output / 255

    def _run(self, samples: NDArray[np.uint8]) -> bytes:
        """Return the bytes of the file that the program writes.

        Raises:
            RestorerError: it fails, takes too long, or writes nothing.
        """
        with tempfile.TemporaryDirectory(prefix="deepot-external-") as folder:
            paths = {"{in}": str(Path(folder, "in.png")), "{out}": str(Path(folder, "out.png"))}
            Image.fromarray(samples).save(paths["{in}"])
            words = [_replace(word, paths) for word in self._words]
            with tempfile.TemporaryFile() as printed:
                code = _call(words, folder, printed, self._timeout_s)
                reason = "" if code == 0 else f"ended with status {code}"
                if code is None:
                    reason = f"took longer than {self._timeout_s:g} s, its limit (timeout=)"
                elif not reason and not Path(paths["{out}"]).is_file():
                    reason = "has written no file at {out}"
                if reason:
                    raise RestorerError(f"restorer '{self._words[0]}' {reason}{_tail(printed)}")
            return Path(paths["{out}"]).read_bytes()

    def _read(self, data: bytes, samples: NDArray[np.uint8]) -> Tensor:
        """Return an output in levels of 255, checked.

        Raises:
            RestorerOutputError: it is no image, or no restoration of its input.
        """
        before = torch.from_numpy(samples).permute(2, 0, 1)[None].float()
        try:
            with Image.open(io.BytesIO(data)) as image:
                # first, as an image of another size may be huge
                fault = find_size_fault((samples.shape[1], samples.shape[0]), image.size, self.scale)
                after = before if fault else _to_levels(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            fault = f"it is no image ({type(error).__name__})"
        if fault := fault or find_output_fault(before, after, self.scale, self._tolerance):
            raise RestorerOutputError(f"the output of restorer '{self._words[0]}' is not used: {fault}")
        return after


def _read_options(text: str, spec: str) -> Mapping[str, float]:
    options: dict[str, float] = dict(_DEFAULTS)
    for name, value in parse_options(text, PREFIX + spec).items():
        if name not in _DEFAULTS:
            raise SpecError(f"'{PREFIX}{spec}': there is no option '{name}'; known options: {', '.join(_DEFAULTS)}")
        if isinstance(value, str) or not 0 <= value < float("inf") or (value == 0 and name != "cache_gb"):
            raise SpecError(f"'{PREFIX}{spec}': {name} is '{value}', it must be a number above 0")
        options[name] = value
    if options["scale"] != int(options["scale"]):
        raise SpecError(f"'{PREFIX}{spec}': scale is {options['scale']:g}, it must be a whole number")
    return options


def _split(command: str, spec: str) -> list[str]:
    """Split a command into words, the first of them the path of the program.

    Raises:
        RestorerError, SpecError: see `ExternalCommand`.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SpecError(f"'{PREFIX}{spec}': the command cannot be read: {error}") from error
    for name in ("{in}", "{out}"):
        if sum(name in word for word in words) != 1:
            raise SpecError(
                f"'{PREFIX}{spec}': the command must have {name} once, as in external:denoise {{in}} {{out}}"
            )
    program = shutil.which(words[0])
    if program is None:
        raise RestorerError(
            f"restorer '{PREFIX}{spec}': there is no program '{words[0]}' on this machine; give its path, or install "
            "it on every node"
        )
    return [os.path.abspath(program), *words[1:]]


def _hash_command(words: list[str], options: Mapping[str, float]) -> str:
    """Return a hash of what decides the outputs: the words, the scale, and the content of the files that they name."""
    digest = hashlib.sha256(repr((words[1:], options["scale"], options["tolerance"])).encode())
    for path in map(Path, words):
        if path.is_file():
            with path.open("rb") as file:
                while block := file.read(_HASH_BLOCK_BYTES):
                    digest.update(block)
    return digest.hexdigest()


def _replace(word: str, paths: Mapping[str, str]) -> str:
    for name, path in paths.items():
        word = word.replace(name, path)
    return word


def _call(words: list[str], folder: str, printed: IO[bytes], timeout_s: float) -> int | None:
    """Return the exit status of a program; None if it took too long, after which it and what it started are killed.

    Raises:
        RestorerError: it cannot be started.
    """
    try:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise RestorerError(f"restorer '{words[0]}' cannot be started: {error}") from error
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _kill_group(process)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and those that it has started in its session, also if it has ended itself."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(printed: IO[bytes]) -> str:
    """Return the end of what a program has printed, for a message."""
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - _MAX_ERROR_BYTES))
    lines = printed.read().decode(errors="backslashreplace").strip().splitlines()
    return f": {lines[-1].strip()[:300]}" if lines else ""


def _to_levels(image: Image.Image) -> Tensor:
    """Return an image of any mode as RGB (1, 3, H, W), levels from 0 to 255."""
    if image.mode.startswith(("I", "F")):
        samples = np.array(image, dtype=np.float32)
        samples = np.repeat(samples[:, :, None] / (257 if image.mode.startswith("I") else 1), 3, axis=2)
    else:
        samples = np.array(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(samples).permute(2, 0, 1)[None]
