"""Which results have the same bytes whatever the instructions of the processor and the number of threads.

    python research/compare_instruction_sets.py --dtype float32 exact

A map is fitted once, and small synthetic photos of several kinds are enhanced with it in processes of their own, whose
environment restricts the instructions that PyTorch, oneDNN, MKL, NumPy, OpenBLAS and the C library use. Of each stage
the table has whether its output differs from that of the first process, given the input of the first process, so that
a difference does not hide others after it; of each result whether its samples differ, and by how many levels at most;
of each format whether the file of the same samples differs, and of each restorer without weights whether its result
does. Libraries that look at the maker of the processor, as MKL does, are not covered: docs/reliability.md names a
command with an emulator.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

import deepot
from benchmarks._synthetic_photos import make_photo
from deepot.autoencoder import load_autoencoder
from deepot.inference import Enhancer, JpegConstraint, TransportMode
from deepot.photo import Pixels
from deepot.restoration import load_restorer
from deepot.transport import TransportMap
from pipeline import imageio

_HWCAPS = "-AVX2,-AVX,-FMA,-FMA4,-AVX512F,-ERMS,-AVX_Fast_Unaligned_Load"
_NUMPY = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
VARIANTS: dict[str, dict[str, str]] = {
    "all instructions": {},
    "4 threads": {"OMP_NUM_THREADS": "4"},
    "PyTorch: AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "PyTorch: none": {"ATEN_CPU_CAPABILITY": "default"},
    "oneDNN: AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "oneDNN: SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "MKL: AVX2": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "MKL: SSE4.2": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "MKL_CBWR=COMPATIBLE": {"MKL_CBWR": "COMPATIBLE"},
    "NumPy: baseline": {"NPY_DISABLE_CPU_FEATURES": _NUMPY},
    "OpenBLAS: Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "C library: no FMA": {"GLIBC_TUNABLES": f"glibc.cpu.hwcaps={_HWCAPS}"},
    "all of these, 4 threads": {
        "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "NPY_DISABLE_CPU_FEATURES": _NUMPY, "OPENBLAS_CORETYPE": "Nehalem", "OMP_NUM_THREADS": "4",
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={_HWCAPS}",
    },
}  # fmt: skip
FORMATS = ("png", "tiff", "jpeg", "jpeg2000", "webp", "webp:lossless=1", "avif", "jxl", "jxl:lossless=1")
_ALPHA = 0.3
_HEADER = "| | stages that differ | results that differ, in levels | files, restorers that differ |"
Array = NDArray[Any]


def make_inputs(folder: Path) -> None:
    """Write the map and the photos that every process takes."""
    generator = np.random.default_rng(0)

    def photo(height: int, width: int) -> Array:
        levels: Array = np.rint(make_photo(generator, width, height).clip(0, 255))
        return levels.astype(np.uint8)

    natural = [photo(96, 128) for _ in range(3)]
    restored = [np.asarray(Image.fromarray(each).resize((64, 48)).resize((128, 96))) for each in natural]
    companions = [np.roll(each, 1, axis=1) for each in natural]
    autoencoder = load_autoencoder("embedded", device="cpu", dtype="float32")
    fitted = deepot.fit_images(autoencoder, restored, natural, companions=companions)
    shifts = torch.from_numpy(4 * generator.standard_normal((3, 256)))
    tone = deepot.ToneCurve(shifts, share=1.0, error_reduction=0.5, standard_error=0.1)
    replace(fitted, tone=tone).save(folder / "map.safetensors")
    transparent = np.dstack([photo(72, 88), np.full((72, 88), 255, np.uint8)])
    transparent[20:60, :40, 3] = 0
    jpeg = io.BytesIO()
    Image.fromarray(photo(90, 122)).save(jpeg, "JPEG", quality=60)
    inks = np.dstack([photo(64, 72), photo(64, 72)[:, :, :1]])
    photos = {
        "rgb": photo(101, 131), "grey": photo(64, 72)[:, :, :1], "alpha": transparent,
        "16 bits": photo(64, 72).astype(np.uint16) * 257 + 3, "companion": photo(101, 131), "cmyk": inks,
        "jpeg": np.frombuffer(jpeg.getvalue(), np.uint8), "degraded": photo(160, 192),
    }  # fmt: skip
    _save(folder / "photos", photos)


def iter_results(dtype: str, transport: TransportMap, photos: dict[str, Any]) -> Iterator[tuple[str, Array]]:
    """Yield the samples of each kind of photo after the enhancer."""
    autoencoder = load_autoencoder("embedded", device="cpu", dtype=dtype)
    enhancer = Enhancer(autoencoder, transport, alpha=_ALPHA)
    adobe, gamma = (bytes(imagecodecs.cms_profile(name)) for name in ("adobergb", "gray"))
    kinds = {
        **{name: Pixels.from_array(photos[name].copy(), alpha=name == "alpha")
           for name in ("rgb", "grey", "16 bits", "cmyk", "alpha")},
        "Adobe RGB": Pixels.from_array(photos["rgb"].copy(), adobe, alpha=False),
        "grey, profile": Pixels.from_array(photos["grey"].copy(), gamma, alpha=False),
    }  # fmt: skip
    for name, pixels in kinds.items():
        enhancer.enhance(pixels)
        yield name, pixels.samples
    jpeg = photos["jpeg"].tobytes()
    pixels = imageio.decode(jpeg, 10**6).pages[0]
    coefficients = imageio.read_coefficients(jpeg, same_format=True)
    if coefficients is None:
        raise ValueError("the JPEG file has no coefficients")
    enhancer.enhance(pixels, make_constraint=partial(JpegConstraint, coefficients))
    yield "jpeg, consistent", pixels.samples
    modes = [each for each in TransportMode if each is not TransportMode.AUTO]
    for mode in modes:
        pixels = Pixels(photos["rgb"].copy())
        Enhancer(autoencoder, transport, alpha=_ALPHA, mode=mode, preserve=["mean"]).enhance(pixels)
        yield str(mode), pixels.samples
    pixels = Pixels(photos["rgb"].copy())
    Enhancer(autoencoder, transport, alpha=1.5, preserve=["chroma"]).enhance(pixels, Pixels(photos["companion"].copy()))
    yield "companion", pixels.samples


def make_stages(dtype: str, transport: TransportMap, photos: dict[str, Any]) -> dict[str, Callable[[Array], Array]]:
    """Return the stages of one photo in their order, each as a function of the output of the one before it."""
    autoencoder = load_autoencoder("embedded", device="cpu", dtype=dtype)
    enhancer = Enhancer(autoencoder, transport, alpha=_ALPHA)
    composition, rgb = enhancer.composition, photos["degraded"]

    def decode(latents: Array) -> Array:
        after, before = (autoencoder.decode(torch.from_numpy(each)) for each in latents)
        return (after - before).numpy()

    def compose(filtered: Array) -> Array:
        restored = Pixels(rgb).to_rgb()
        toned = composition.apply_tone(restored)
        return composition.change(torch.from_numpy(filtered), restored, toned, 1 - _ALPHA).numpy()

    def add(change: Array) -> Array:
        pixels = Pixels(rgb.copy())
        pixels.add_rgb_delta(0, torch.from_numpy(change))
        return pixels.samples

    def transport_latents(latents: Array) -> Array:
        values = torch.from_numpy(latents)
        return torch.stack([enhancer._operator(values), values]).numpy()

    return {
        "RGB": lambda samples: Pixels(samples).to_rgb().contiguous().numpy(),
        "tone curve": lambda values: composition.apply_tone(torch.from_numpy(values)).numpy(),
        "encode": lambda values: autoencoder.encode(torch.from_numpy(values)).contiguous().numpy(),
        "map": transport_latents,
        "decode": decode,
        "filters": lambda values: composition.filter_difference(torch.from_numpy(values)).numpy(),
        "compose": compose,
        "add": add,
    }


def run_child(folder: Path, dtype: str) -> None:
    """Compute everything in this process and write it."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    transport = TransportMap.load(folder / "map.safetensors")
    photos = load_file(folder / "photos")
    reference_path = folder / f"reference-{dtype}"
    reference = load_file(reference_path) if reference_path.exists() else None
    outputs: dict[str, Array] = {}
    values = photos["degraded"]
    with torch.inference_mode():
        for stage, compute in make_stages(dtype, transport, photos).items():
            outputs[stage] = compute(values.copy())
            values = outputs[stage] if reference is None else reference[stage]
    decoded = imageio.decode(photos["jpeg"].tobytes(), 10**6)
    files = {"decode JPEG": _digest(decoded.pages[0].samples.tobytes())}
    png = io.BytesIO()
    Image.fromarray(photos["degraded"]).save(png, "PNG")
    source = imageio.decode(png.getvalue(), 10**6)
    for name_of_format in FORMATS:
        files[name_of_format] = _digest(imageio.encode(source, Pixels(photos["degraded"]), name_of_format, "strip"))
    for spec in ("nlm:sigma=25", "median", "resize:factor=2"):
        files[spec] = _digest(load_restorer(spec)(Pixels(photos["degraded"])).samples.tobytes())
    _save(folder / "stages", outputs)
    _save(folder / "results", dict(iter_results(dtype, transport, photos)))
    (folder / "files.json").write_text(json.dumps(files), encoding="utf-8")
    if reference is None:
        _save(reference_path, outputs)


def _save(path: Path, arrays: dict[str, Array]) -> None:
    save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def run_variant(folder: Path, dtype: str, variables: dict[str, str]) -> dict[str, Any]:
    """Run a process with environment variables, and return what it has computed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    arguments = [sys.executable, __file__, "--child", str(folder), "--dtype", dtype]
    subprocess.run(arguments, env=environment, check=True)
    found: dict[str, Any] = {name: load_file(folder / name) for name in ("stages", "results")}
    return found | {"files": json.loads((folder / "files.json").read_bytes())}


def describe(first: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return what differs between two processes."""
    levels = {}
    for name, samples in found["results"].items():
        difference = np.abs(samples.astype(int) - first["results"][name].astype(int)) / (
            np.iinfo(samples.dtype).max / 255
        )
        if difference.any():
            levels[name] = round(float(difference.max()), 3)
    stages = [name for name, values in found["stages"].items() if not np.array_equal(values, first["stages"][name])]
    files = [name for name, digest in found["files"].items() if digest != first["files"][name]]
    return {"stages": stages, "results": levels, "files": files, "n_results": len(found["results"])}


def main() -> None:
    """Compare the environments, and print a Markdown table and optionally JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", nargs="+", default=["float32", "exact"])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        run_child(options.child, options.dtype[0])
        return
    variants = dict.fromkeys([next(iter(VARIANTS)), *options.variants])
    report = {}
    with tempfile.TemporaryDirectory() as name:
        make_inputs(Path(name))
        for dtype in options.dtype:
            first = None
            print(f"\n{dtype}\n\n{_HEADER}\n|---|---|---|---|")
            for variant in variants:
                found = run_variant(Path(name), dtype, VARIANTS[variant])
                first = found if first is None else first
                differs = report[f"{dtype}, {variant}"] = describe(first, found)
                levels = ", ".join(f"{kind} {value}" for kind, value in differs["results"].items())
                cells = ", ".join(differs["stages"]), levels, ", ".join(differs["files"])
                print(f"| {variant} | {' | '.join(cell or '–' for cell in cells)} |", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
