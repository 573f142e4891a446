"""Job files for inspected inputs."""

import pytest
import yaml

from pipeline.config import load_job
from pipeline.errors import ConfigError
from pipeline.inspection import draft_job, write_draft
from pipeline.progress import NullProgress
from tests.support.photos import make_photo
from tests.support.synthetic_photos import encode_jpeg


def write_jpegs(folder, *qualities):
    folder.mkdir(parents=True, exist_ok=True)
    for number, quality in enumerate(qualities):
        (folder / f"{number:02d}.jpg").write_bytes(encode_jpeg(make_photo(number), quality))


def draft(folder, path, **options):
    return draft_job(str(folder), path, NullProgress(), **options)


def comments_of(text):
    return " ".join(line.strip().removeprefix("#").strip() for line in text.splitlines() if line.strip()[:1] == "#")


def test_draft_job_writes_a_job_file_that_loads(tmp_path):
    write_jpegs(tmp_path / "scans", 30, 31, 34, 95)
    made = draft(tmp_path / "scans", tmp_path / "job.yaml")
    assert not made.path.exists()
    write_draft(made)
    job = load_job(made.path)
    assert (job.name, job.input.images, job.output.uri) == (
        "scans",
        str(tmp_path / "scans"),
        str(tmp_path / "scans-enhanced"),
    )
    assert (job.calibration.degradation, job.calibration.reference, job.restorer) == (
        "jpeg:quality=31",
        None,
        "identity",
    )
    text = made.path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=job-file.schema.json"
    comments = comments_of(text)
    assert "4 JPEG (quality 30 to 95, median 32)" in comments
    assert "3 photos: JPEG compression, quality 30 to 34, median 31" in comments
    assert "Others differ: 1 photo: too small or too uniform" in comments and "(such as 03.jpg)" in comments
    assert "# reference: path/to/natural/photos" in made.text


def test_draft_job_notes_that_strengths_differ_much(tmp_path):
    write_jpegs(tmp_path / "scans", 10, 30, 60)
    assert "The strengths differ much" in comments_of(draft(tmp_path / "scans", tmp_path / "job.yaml").text)
    write_jpegs(tmp_path / "alike", 30, 31)
    assert "The strengths differ much" not in comments_of(draft(tmp_path / "alike", tmp_path / "job.yaml").text)


@pytest.mark.parametrize("name", ["yes", "1912", "a: b #c", "ö 'q\" {x}", "x\nrestorer: evil\n#", "\u202ereversed"])
def test_draft_job_quotes_names_and_escapes_them_in_comments(tmp_path, name):
    folder = tmp_path / name
    write_jpegs(folder, 30, 30)
    (folder / f"{name}.jpg").write_bytes(encode_jpeg(make_photo(1), 95))
    (folder / f"{name} broken.jpg").write_bytes(b"x")
    made = draft(folder, tmp_path / "job.yaml")
    content = yaml.safe_load(made.text)
    assert content["input"] == str(folder)
    assert content["restorer"] == "identity"
    assert sorted(content) == ["calibration", "input", "name", "output", "restorer", "transport"]
    assert all(line.isprintable() for line in made.text.splitlines())


@pytest.mark.parametrize("text", ["", "  ", "s3:/archive/scans", "https://user:secret@example.org/a.txt"])
def test_draft_job_refuses_what_cannot_be_an_input(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        draft_job(text, tmp_path / "job.yaml", NullProgress())
    assert "secret" not in str(caught.value)


def test_draft_job_refuses_before_it_reads_anything_if_the_file_exists(tmp_path):
    (tmp_path / "job.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"job\.yaml exists.*--overwrite"):
        draft(tmp_path / "nowhere", tmp_path / "job.yaml")


def test_write_draft_never_overwrites_a_file_that_appeared_meanwhile(tmp_path):
    write_jpegs(tmp_path / "scans", 30)
    made = draft(tmp_path / "scans", tmp_path / "job.yaml")
    made.path.write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        write_draft(made)
    assert made.path.read_text() == "mine"
    write_draft(made, overwrite=True)
    assert made.path.read_text(encoding="utf-8") == made.text


def test_write_draft_into_a_folder_that_does_not_exist_is_refused(tmp_path):
    write_jpegs(tmp_path / "scans", 30)
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        write_draft(draft(tmp_path / "scans", tmp_path / "nowhere" / "job.yaml"))
