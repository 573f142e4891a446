"""Statistics and maps that were changed on disk: the next run ends with one sentence, and writes no photo."""

import pytest
import torch
from PIL import Image

from deepot.errors import DeepotError, MapError, MomentsError
from deepot.transport.safetensors_file import pack, unpack_metadata, unpack_tensors
from pipeline.config.loading import parse_job
from pipeline.errors import RunError
from pipeline.stages import fit_job, open_run
from tests.support.in_process_pool import OPTIONS, run_in_process, without_ray
from tests.support.photos import small_job_config


def rewrite(path, name, change, *, keep_hash=False):
    """Replace a tensor of a safetensors file, with or without the hash of the earlier numbers."""
    data = path.read_bytes()
    metadata = unpack_metadata(data)
    if not keep_hash:
        metadata.pop("tensors_sha256", None)
    tensors = unpack_tensors(data)
    path.write_bytes(pack(tensors | {name: change(tensors[name])}, metadata))


def only_sentence(error):
    text = str(error)
    assert "\n" not in text
    assert len(text) < 600
    return text


def fit(tmp_path, **changes):
    """Fit the map of a small job; return the job and the folder of its calibration."""
    job = parse_job(small_job_config(tmp_path, **changes))
    with without_ray():
        fit_job(open_run(job, OPTIONS))
    (folder,) = (tmp_path / "_deepot/calibrations").iterdir()
    return job, folder


@pytest.mark.parametrize(
    ("components", "name", "change", "keep_hash", "message"),
    [
        (1, "mean", lambda x: x * float("nan"), False, "mean is not made of finite float64 numbers"),
        (1, "scatter", torch.neg, False, "scatter has a negative variance"),
        (1, "scatter", lambda x: x * 1e6, True, "its numbers have changed since it was written"),
        (1, "count", lambda x: -x, False, "it states -"),
        (2, "scatters", torch.neg, False, "scatters has a negative variance"),
        (2, "means", lambda x: x * 1e6, True, "its numbers have changed since it was written"),
    ],
)
def test_run_after_its_moments_were_changed_names_the_file_and_writes_no_photo(
    tmp_path, components, name, change, keep_hash, message
):
    job, folder = fit(tmp_path, transport={"mixture_components": components})
    for path in folder.glob("maps/map-*"):
        path.unlink()
    path = min(folder.glob("moments/source-statistics/*" if components == 2 else "moments/source/*"))
    rewrite(path, name, change, keep_hash=keep_hash)
    with pytest.raises(MomentsError, match=message) as caught:
        run_in_process(job)
    assert str(path) in only_sentence(caught.value)
    assert not list(tmp_path.glob("enhanced/**/*.png"))
    path.unlink()  # the way out that the message names
    assert run_in_process(job).ok == 6


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("matrix", lambda x: x * float("nan"), "matrix is not made of finite float64 numbers"),
        ("reference_covariance", torch.zeros_like, "its natural patches are all equal"),
        ("target_mean", lambda x: x[:-1], "target_mean of shape"),
        ("matrix", lambda x: x * 1e6, "nobody knows which photos the map was fitted from"),
    ],
)
def test_run_after_its_map_was_changed_ends_with_one_sentence(tmp_path, name, change, message):
    job, folder = fit(tmp_path)
    rewrite(folder / "maps/map-0001.safetensors", name, change, keep_hash=True)
    with pytest.raises((MapError, RunError), match=message) as caught:
        run_in_process(job)
    only_sentence(caught.value)
    assert not list(tmp_path.glob("enhanced/**/*.png"))


@pytest.mark.parametrize("content", [b"[]", b"null", b"{", b"", b'{"source": "3"}', b"\xff", b"[" * 100_000])
def test_run_after_the_record_of_its_map_was_changed_ends_with_one_sentence(tmp_path, content):
    job, folder = fit(tmp_path)
    (path,) = folder.glob("maps/provenance/*")
    path.write_bytes(content)
    with pytest.raises(RunError, match="does not list the photos that the map was fitted from") as caught:
        run_in_process(job)
    only_sentence(caught.value)


@pytest.mark.parametrize("components", [1, 3])
def test_run_with_natural_photos_of_one_colour_is_refused_before_any_photo(tmp_path, components):
    config = small_job_config(tmp_path, transport={"mixture_components": components})
    for path in (tmp_path / "natural").rglob("*.*"):
        Image.new("RGB", (40, 30), (90, 90, 90)).save(path)
    with pytest.raises(DeepotError, match="latent patches of the natural photos are all equal") as caught:
        run_in_process(parse_job(config))
    only_sentence(caught.value)
    assert not list(tmp_path.glob("enhanced/**/*.png"))
