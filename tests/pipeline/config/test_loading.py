"""Job files and overrides from the command line."""

import os
import threading

import pytest

from pipeline.config import Photos, load_job, parse_job
from pipeline.errors import ConfigError

MINIMAL = {"input": "in", "output": "out", "calibration": {"degradation": "noise:sigma=50"}}
FILE = """
input: /photos/in
output: /photos/out
calibration: {degradation: 'noise:sigma=50', reference: /photos/natural}
limits: {max_pixels: 400_000_000}
"""


@pytest.fixture
def job_file(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(FILE)
    return path


def test_load_job_lays_overrides_over_the_file(job_file):
    job = load_job(job_file, {"transport.alpha": 0.5, "tiles.max_side": 512})
    assert (job.transport.alpha, job.tiles.max_side, job.limits.max_pixels) == (0.5, 512, 400_000_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a list", "not a mapping"),
        ("a: [", "line 1, column 5, is not valid YAML: while parsing a flow node"),
        (
            "input: [in\noutput: out",
            "line 2, column 7, is not valid YAML: .* that begins in line 1, expected ',' or ']'",
        ),
        ("a: !!python/name:os.x", "line 1, column 4, is not valid YAML: could not determine a constructor"),
    ],
)
def test_load_job_refuses_files_that_are_not_mappings(tmp_path, content, message):
    (tmp_path / "job.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_job(tmp_path / "job.yaml")


def test_load_job_names_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError, match=r"no job file .*nothing\.yaml"):
        load_job(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("section", "shorthand", "read_section"),
    [
        ("input", "images", lambda job: job.input),
        ("calibration.reference", "images", lambda job: job.calibration.reference),
        ("output", "uri", lambda job: job.output),
    ],
)
@pytest.mark.parametrize("is_plain", [True, False])
def test_load_job_overrides_a_plain_uri_and_a_section_alike(job_file, section, shorthand, read_section, is_plain):
    plain = {"input": "/photos/in", "calibration.reference": "/photos/natural", "output": "/photos/out"}[section]
    if not is_plain:
        job_file.write_text(FILE.replace(f": {plain}", f": {{{shorthand}: {plain}}}"))
    assert getattr(read_section(load_job(job_file)), shorthand) == plain
    for key in (section, f"{section}.{shorthand}"):
        assert getattr(read_section(load_job(job_file, {key: "/other"})), shorthand) == "/other"
    other, value = ("format", "png") if section == "output" else ("exclude", ["thumbs/*"])
    found = read_section(load_job(job_file, {f"{section}.{other}": value}))
    assert getattr(found, shorthand) == plain
    assert getattr(found, other) in (value, tuple(value))


def test_load_job_overriding_a_uri_keeps_the_rest_of_its_section(job_file):
    job_file.write_text(FILE.replace(": /photos/in", ": {images: /photos/in, exclude: [thumbs/*]}"))
    assert load_job(job_file, {"input": "/other"}).input == Photos(images="/other", exclude=("thumbs/*",))


def test_load_job_adds_sections_that_the_file_lacks(tmp_path):
    (tmp_path / "job.yaml").write_text("input: in\noutput: out\n")
    overrides = {"calibration.restored": "/other", "calibration.reference.images": "/natural"}
    job = load_job(tmp_path / "job.yaml", overrides)
    assert job.calibration.restored == Photos(images="/other")
    assert job.calibration.reference == Photos(images="/natural")


@pytest.mark.parametrize("key", ["name.x", "autoencoder.size", "calibration.degradation.sigma"])
def test_load_job_refuses_overrides_below_a_plain_value(job_file, key):
    job_file.write_text(FILE + "name: box\nautoencoder: embedded\n")
    with pytest.raises(ConfigError, match=f"'{key}' cannot be set: '{key.rpartition('.')[0]}' is not a mapping"):
        load_job(job_file, {key: "1"})


def test_parse_job_names_everything_that_is_wrong_in_one_sentence():
    with pytest.raises(ConfigError) as caught:
        parse_job(MINIMAL | {"transport": {"patch_size": 4}, "limits": {"max_pixels": 0}, "vae": "x"}, "job.yaml")
    message = str(caught.value)
    assert message.startswith("job.yaml: ")
    assert "\n" not in message
    assert all(part in message for part in ("must be odd", "'limits.max_pixels'", "did you mean 'autoencoder'?"))


@pytest.mark.timeout(60)
def test_job_file_without_end_is_refused(tmp_path):
    (tmp_path / "long.yaml").write_text("name: " + "x" * 2**20)
    for path in ("/dev/zero", tmp_path / "long.yaml"):
        with pytest.raises(ConfigError, match="cannot be read: it has more than 1048576 bytes"):
            load_job(path)


def test_job_file_may_come_from_a_pipe(tmp_path):
    """As `deepot run <(make-job)` gives it."""
    os.mkfifo(tmp_path / "job")
    writer = threading.Thread(target=(tmp_path / "job").write_text, args=["input: in\noutput: out\nmap: m.safetensors"])
    writer.start()
    assert load_job(tmp_path / "job").input.images.endswith("/in")
    writer.join()


def test_load_job_of_a_photo_says_that_it_is_no_text(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ConfigError, match=r"photo.jpg is not a job file: it is not text; name a YAML file"):
        load_job(tmp_path / "photo.jpg")


def test_load_job_without_a_file_takes_the_overrides_alone():
    job = load_job(None, {"input": "in", "output": "out", "calibration.degradation": "noise:sigma=5"})
    assert job.calibration.degradation == "noise:sigma=5"
    with pytest.raises(ConfigError, match="command line: 'output' is missing"):
        load_job(None, {"input": "in"})
