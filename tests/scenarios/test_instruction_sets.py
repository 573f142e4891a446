"""With `dtype: exact` a photo has the same bytes whatever instructions and however many threads the libraries use."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

import deepot
from deepot.errors import MapError
from deepot.inference import Enhancer
from pipeline.runs import RunPaths, read_manifest
from tests.support.in_process_pool import run_in_process
from tests.support.photos import make_photo, soften

ROOT = Path(__file__).resolve().parents[2]
FEWEST_INSTRUCTIONS = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}

SINGLE = """__and_ abs add all any aminmax arange clamp div floor gt is_nonzero isfinite lt max mul reciprocal relu
remainder round rsub square sub where"""
"""Operations on elements that IEEE 754 defines to the last bit, and extremes; no root, as MKL's differ."""
MOVING = """alias cat contiguous copy detach empty empty_like expand expand_as flatten index index_select item
lift_fresh movedim narrow new_empty new_zeros ones pad permute pixel_shuffle pixel_unshuffle repeat_interleave
reshape resolve_conj resolve_neg select slice split squeeze stack to unbind unflatten unsqueeze view zeros zeros_like"""
SUMS = "avg_pool2d conv2d linear"
"""Sums of integers without rounding, and means of cells, which add one value after the other."""


@pytest.fixture(scope="module")
def exact():
    return deepot.load_autoencoder("embedded", dtype="exact")


@pytest.fixture(scope="module")
def transport(embedded_autoencoder):
    """A map that sharpens, with a tone curve."""
    natural = [make_photo(seed, 48, 48) for seed in range(2)]
    fitted = deepot.fit_images(embedded_autoencoder, [soften(photo) for photo in natural], natural)
    shifts = 4 * torch.sin(torch.arange(3 * 256).reshape(3, 256) / 30).double()
    return replace(fitted, tone=deepot.ToneCurve(shifts, 1.0, 0.5, 0.1))


def write_photos(folder):
    """Write photos that take every way through the enhancer."""
    folder.mkdir()
    photos = {
        name: soften(make_photo(seed, 75, 94)) for seed, name in enumerate(("rgb", "jpeg", "grey", "alpha", "icc"))
    }
    photos["rgb"].save(folder / "rgb.png")
    photos["jpeg"].save(folder / "coefficients.jpg", quality=40)
    photos["grey"].convert("L").save(folder / "grey.tif")
    photos["alpha"].putalpha(Image.fromarray(np.tri(94, 75, 8, np.uint8) * 255))
    photos["alpha"].save(folder / "alpha.png")
    photos["icc"].save(folder / "profile.png", icc_profile=bytes(imagecodecs.cms_profile("adobergb")))


def test_results_have_the_same_bytes_with_all_and_with_few_instructions(transport, tmp_path):
    transport.save(tmp_path / "map")
    write_photos(tmp_path / "photos")
    results = []
    for variables, threads in (({}, 1), (FEWEST_INSTRUCTIONS, 4), (AVX2, 2)):
        arguments = ["tests.support.exact_results", tmp_path / "map", tmp_path / "photos", str(threads)]
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        environment |= variables
        output = subprocess.run(
            [sys.executable, "-m", *arguments], env=environment, cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
        results.append(json.loads(output))
    assert len(set(results[0].values())) == 5
    assert results[1] == results[0] == results[2]


class OperationRecorder(TorchDispatchMode):
    """Records the names of PyTorch's operations."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket._qualified_op_name.removeprefix("aten::").removesuffix("_"))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", ["auto", "plain"])
def test_exact_results_come_from_operations_that_are_the_same_everywhere(exact, transport, mode, monkeypatch):
    enhancer = Enhancer(exact, transport, alpha=0, mode=mode)
    zero = torch.zeros((), dtype=torch.float64)
    statistics = SimpleNamespace(on_device=lambda latents: zero)  # which are no part of the result
    monkeypatch.setattr(enhancer, "_patch_nll", statistics)
    monkeypatch.setattr("deepot.inference.enhancer.mean_square_difference", lambda *latents: zero)
    with OperationRecorder() as recorder:
        enhancer(soften(make_photo(3, 41, 50)))
    assert recorder.names >= {"conv2d", "add", "mul", "div", "round"}
    assert recorder.names <= set(f"{SINGLE} {MOVING} {SUMS}".split())


def test_exact_results_are_those_of_float32_to_a_level(exact, transport, embedded_autoencoder):
    photo = soften(make_photo(3, 75, 94))
    found, expected = (
        np.asarray(Enhancer(each, transport, alpha=0)(photo), dtype=int) for each in (exact, embedded_autoencoder)
    )
    changed = np.abs(found - expected)
    assert changed.max() <= 1
    assert (changed > 0).mean() < 0.02


def test_mixture_is_refused(exact):
    natural = [make_photo(seed, 48, 48) for seed in range(2)]
    restored = [soften(photo) for photo in natural]
    mixture = deepot.fit_images(exact, restored, natural, kind="mixture:components=2", patch_size=3)
    with pytest.raises(MapError, match="only maps of a single Gaussian"):
        Enhancer(exact, mixture)


def test_rows_name_the_exact_computation(make_job, transport, tmp_path):
    transport.save(tmp_path / "map.safetensors")
    job = make_job(
        2, autoencoder="embedded", calibration=None, map=str(tmp_path / "map.safetensors"),
        compute={"dtype": "exact"},
    )  # fmt: skip
    rows = read_manifest(RunPaths(run_in_process(job).run)).to_pylist()
    assert [(row["status"], row["dtype"]) for row in rows] == [("ok", "exact")] * 2
