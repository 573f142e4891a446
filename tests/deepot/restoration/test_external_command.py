"""Programs as restorers: called once for each photo, limited in time, and their outputs checked."""

import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepot.errors import RestorerError, RestorerOutputError, SpecError
from deepot.photo import Pixels
from deepot.restoration import load_restorer
from deepot.restoration.output_cache import OutputCache
from tests.support import external_restorer
from tests.support.photos import make_photo


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def program(tmp_path):
    return Path(shutil.copy(external_restorer.__file__, tmp_path / "restore.py"))


def load(command, options=""):
    return load_restorer(f"external:{options}{command}", allow_code=True)


def load_script(program, mode="sound", options=""):
    return load(f"{sys.executable} {program} {mode} {{in}} {{out}}", options)


def load_shell(script, options=""):
    return load(f"sh -c '{script}' {{in}} {{out}}", options)


def n_calls(program):
    calls = program.with_suffix(".calls")
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def has_ended(pid):
    """Whether a process is gone, or a zombie at most."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def pixels_of(seed=0, *size):
    return Pixels.from_image(make_photo(seed, *size))


def test_photos_are_restored_and_kept_by_their_content(program):
    restorer = load_script(program)
    first, second = pixels_of(0), pixels_of(1)
    restored = [restorer(each) for each in (first, second)]
    expected = Image.fromarray(first.samples).filter(external_restorer.ImageFilter.GaussianBlur(0.8))
    assert np.array_equal(restored[0].samples, np.asarray(expected))
    assert n_calls(program) == 2
    again = [load_script(program)(each) for each in (first, second)]
    assert n_calls(program) == 2, "both were restored before"
    assert all(np.array_equal(*pair) for pair in zip(restored[1].samples, again[1].samples, strict=True))


def test_nothing_is_kept_where_that_is_switched_off(program, cache):
    restorer = load_script(program, options="cache_gb=0:")
    assert np.array_equal(restorer(pixels_of()).samples, restorer(pixels_of()).samples)
    assert n_calls(program) == 2
    assert not cache.exists()


@pytest.mark.parametrize("ruin", external_restorer.RUINS)
def test_ruined_outputs_are_refused_and_not_kept(program, ruin):
    restorer = load_script(program, ruin)
    for calls in (1, 2):
        with pytest.raises(RestorerOutputError, match="is not used: "):
            restorer(pixels_of())
        assert n_calls(program) == calls


def test_what_is_kept_is_checked_like_any_output(program, cache):
    photo, restorer = pixels_of(), load_script(program)
    restorer(photo)
    (stored,) = (path for path in cache.rglob("*") if path.is_file())
    stored.write_bytes(b"damaged")
    with pytest.raises(RestorerOutputError, match="it is no image"):
        restorer(photo)


def test_restorer_that_enlarges_states_its_scale():
    enlarge = f'{sys.executable} -c "from PIL import Image; import sys; i = Image.open(sys.argv[1]); '
    enlarge += 'i.resize((3 * i.width, 3 * i.height)).save(sys.argv[2])" {in} {out}'
    restorer = load(enlarge, "scale=3:")
    assert restorer.scale == 3
    assert restorer(pixels_of()).samples.shape == (108, 144, 3)
    with pytest.raises(RestorerOutputError, match=r"it has 144 × 108 pixels, .* a scale of 1 makes 48 × 36"):
        load(enlarge)(pixels_of())


def test_mode_and_bit_depth_of_the_photo_stay(program):
    grey = np.array(make_photo(0).convert("L"))[:, :, None]
    restorer = load_script(program)
    assert restorer(Pixels(grey)).samples.shape == (36, 48, 1)
    assert restorer(Pixels(grey.astype(np.uint16) * 257)).samples.dtype == np.uint16


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16", "F"])
def test_outputs_of_any_mode_are_read(tmp_path, mode):
    grey = make_photo(0, noise=0.0).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    special = {"I;16": deep, "F": grey.convert("F"), "P": grey.convert("RGB").quantize(64)}
    path = tmp_path / "output.tif"
    (special[mode] if mode in special else grey.convert("RGB").convert(mode)).save(path)
    restored = load_shell(f"cp {path} $1")(Pixels.from_image(grey.convert("RGB")))
    difference = restored.samples.astype(int) - np.asarray(grey)[:, :, None]
    assert np.abs(difference).max() <= (24 if mode == "P" else 1)


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("echo no weights >&2; exit 3", RestorerError, r"sh' ended with status 3: no weights$"),
        ("true", RestorerError, r"has written no file at \{out\}$"),
        ("echo text > $1", RestorerOutputError, r"it is no image \(UnidentifiedImageError\)$"),
        ("head -c 900 $0 > $1", RestorerOutputError, "it is no image"),
        ("kill -9 $$", RestorerError, "ended with status -9"),
    ],
)
def test_what_a_program_does_wrong_is_stated(script, error, message):
    with pytest.raises(error, match=message) as caught:
        load_shell(script)(pixels_of())
    assert type(caught.value) is error


def test_program_that_takes_too_long_is_killed_with_all_that_it_has_started(tmp_path):
    pid_file = tmp_path / "pid"
    restorer = load_shell(f"sleep 600 & echo $! > {pid_file}; wait", "timeout=0.5:")
    with pytest.raises(RestorerError, match=r"took longer than 0\.5 s, its limit \(timeout=\)"):
        restorer(pixels_of())
    started = int(pid_file.read_text())
    while not has_ended(started):  # the test ends by its own time limit if it never does
        time.sleep(0.01)


def test_file_names_are_no_shell_text(tmp_path, program, monkeypatch):
    strange = tmp_path / "a b; $(touch x) 'y"
    strange.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(strange))
    load_script(program)(pixels_of())
    assert list(tmp_path.rglob("x")) == []


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("external:denoise {out}", SpecError, r"must have \{in\} once"),
        ("external:denoise {in} {in} {out}", SpecError, r"must have \{in\} once"),
        ("external:denoise {in}", SpecError, r"must have \{out\} once"),
        ("external:", SpecError, r"must have \{in\} once"),
        ("external:denoise 'x {in} {out}", SpecError, "cannot be read: No closing quotation"),
        ("external:no-such-program {in} {out}", RestorerError, "there is no program 'no-such-program'"),
        ("external:scal=2:sh {in} {out}", SpecError, "there is no option 'scal'; known options: scale, timeout"),
        ("external:scale=1.5:sh {in} {out}", SpecError, "scale is 1.5, it must be a whole number"),
        ("external:timeout=0:sh {in} {out}", SpecError, "timeout is '0.0', it must be a number above 0"),
        ("external:timeout=long:sh {in} {out}", SpecError, "timeout is 'long'"),
    ],
)
def test_wrong_specs_say_what_is_wrong(text, error, message):
    with pytest.raises(error, match=message):
        load_restorer(text, allow_code=True)


def test_programs_are_not_called_unless_allowed():
    with pytest.raises(RestorerError, match="runs other code: allow it with --allow-code"):
        load_restorer("external:sh {in} {out}")


def test_fingerprint_is_that_of_the_command_and_of_the_files_that_it_names(program, tmp_path):
    fingerprints = {load_script(program).sha256, load_script(program, "other").sha256}
    fingerprints.add(load_script(program, options="scale=2:").sha256)
    same = load_script(program, options="cache_gb=3,timeout=9:").sha256
    assert len(fingerprints) == 3
    assert same in fingerprints, "neither the time limit nor the cache decides a result"
    program.write_text(program.read_text() + "\n# another version\n")
    assert load_script(program).sha256 not in fingerprints


def test_least_recently_used_outputs_are_deleted_first(tmp_path, monkeypatch):
    monkeypatch.setattr("deepot.restoration.output_cache._WRITES_BETWEEN_TRIMS", 1)
    cache = OutputCache(tmp_path / "cache", 1000)
    keys = [f"{number:02x}" * 32 for number in range(5)]
    for age, key in enumerate(keys[:3]):
        cache.put(key, bytes(300))
        os.utime(cache.folder / key[:2] / key, (age + 1, age + 1))
    assert cache.get(keys[0]) == bytes(300), "which makes it the most recently used one"
    cache.put(keys[3], bytes(300))
    assert [cache.get(key) is not None for key in keys[:4]] == [True, False, True, True]
    cache.put(keys[4], bytes(1001))
    assert cache.get(keys[4]) is None, "more than all may take"


def test_disk_without_space_only_leaves_files_out(tmp_path):
    (tmp_path / "file").touch()
    cache = OutputCache(tmp_path / "file", 1000)  # no folder can be made there
    cache.put("ab" * 32, b"data")
    assert cache.get("ab" * 32) is None


def test_images_of_float_keep_their_range(program):
    model = load_script(program).model
    images = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    assert 0.2 < float(model(images).min()) <= float(model(images).max()) < 0.8
