"""The flags for the keys of a job file, from the text on the command line to the job."""

import re

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from deepot.inference import Preserve
from jobs.cli import _build_parser, main
from jobs.flags import job_from_args
from jobs.job_keys import describe_key, iter_keys, parse_value, value_name
from pipeline.config import Job
from pipeline.errors import ConfigError
from pipeline.storage import absolute_uri

KEYS = dict(iter_keys(Job))
PARSER = _build_parser()
SHORT = {"input": "in", "output": "out", "calibration": {"reference": "natural", "degradation": "blur:sigma=1"}}
LONG = {
    "input": {"images": "in", "exclude": ["thumbs/*"]},
    "output": {"uri": "out", "layout": "files"},
    "calibration": {"reference": {"images": "natural", "exclude": ["x"]}, "degradation": "blur:sigma=1"},
}
ODD_TEXTS = (
    *("box #3/scans", "1912", "2024-01-05", "yes", "no", "on", "null", "~", "[1912] scans", "[1912]", "{a: b}", "a: b"),
    *("1e3", "0x10", "1_000", ".inf", "-", "- a", "*a", "&a", "!a", "%a", "@a", "`a`", '"', "'", "''", "a\\b", "a\tb"),
    *("{map}", "true", "12:30:45", "=", "<<", "? a", "|", ">", "# a", "a #b", " a ", "Schloß", "写真", "\u2028"),
)
"""Texts that YAML would read as something else, or not at all."""
REFUSED_URIS = ("holds credentials", "would be a local folder", "there is no home folder", "it is empty")

odd_text = st.sampled_from(ODD_TEXTS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)


@pytest.fixture(scope="module")
def job_files(tmp_path_factory):
    """Job files with plain URIs and with sections; None of their values is odd."""
    folder = tmp_path_factory.mktemp("jobs")
    for name, content in (("short", SHORT), ("long", LONG)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def job_with(job_files, form, *flags):
    return job_from_args(PARSER.parse_args(["run", str(job_files / f"{form}.yaml"), *flags]))


def value_at(job, key):
    value = job
    for name in key.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("form", ["short", "long"])
@pytest.mark.parametrize("key", ["name", "autoencoder", "restorer", "calibration.restorer"])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=odd_text)
@example(text="null")
@example(text="--")
def test_job_from_args_keeps_odd_texts_of_text_keys(job_files, form, key, text):
    try:
        job = job_with(job_files, form, f"--{key}={text}")
    except ConfigError as error:
        assume("holds credentials" not in str(error) and "would be a local folder" not in str(error))
        raise
    assert value_at(job, key) == text


@pytest.mark.parametrize("form", ["short", "long"])
@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ("input", "input.images"),
        ("input.images", "input.images"),
        ("output", "output.uri"),
        ("output.uri", "output.uri"),
        ("calibration.reference", "calibration.reference.images"),
        ("calibration.reference.images", "calibration.reference.images"),
        ("run", "run"),
    ],
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=odd_text)
@example(text="box #3/scans")
@example(text="--")
def test_job_from_args_keeps_odd_texts_of_uri_keys(job_files, form, flag, key, text):
    try:
        job = job_with(job_files, form, f"--{flag}={text}")
    except ConfigError as error:
        assert text.strip() or "it is empty" in str(error)
        assume(not any(words in str(error) for words in REFUSED_URIS))
        raise
    assert value_at(job, key) == absolute_uri(text)


def test_job_from_args_shorthand_over_a_section_keeps_its_other_keys(job_files):
    job = job_with(job_files, "long", "--input=/a", "--output", "/b", "--calibration.reference", "/c")
    assert (job.input.images, job.input.exclude) == ("/a", ("thumbs/*",))
    assert job.output.uri == "/b"
    assert (job.calibration.reference.images, job.calibration.reference.exclude) == ("/c", ("x",))


def test_job_from_args_dotted_key_over_a_plain_uri_keeps_the_uri(job_files):
    job = job_with(job_files, "short", "--input.exclude=[a, b]", "--output.layout", "parquet")
    assert (job.input.images, job.input.exclude) == (absolute_uri("in"), ("a", "b"))
    assert (job.output.uri, job.output.layout) == (absolute_uri("out"), "parquet")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--transport.preserve=chroma", (Preserve.CHROMA,)),
        ("--transport.preserve=[chroma, mean]", (Preserve.CHROMA, Preserve.MEAN)),
        ("--transport.preserve=[]", ()),
        ("--evaluate.alphas=[0, 0.5]", (0.0, 0.5)),
        ("--evaluate.alphas=0.25", (0.25,)),
        ("--evaluate.alphas=-0.25", (-0.25,)),
        ("--input.exclude=[1912, yes, null, 2024-01-05]", ("1912", "yes", "null", "2024-01-05")),
        ("--input.exclude=['*.tmp', \"a, b\"]", ("*.tmp", "a, b")),
        ("--input.exclude=[0-9]*.jpg", ("[0-9]*.jpg",)),
        ("--input.exclude=*_old.jpg", ("*_old.jpg",)),
        ("--input.exclude=box #3/*", ("box #3/*",)),
    ],
)
def test_job_from_args_list_key_takes_a_list_or_its_only_item(job_files, flag, value):
    clean = ["--evaluate.clean=/clean"] if flag.startswith("--evaluate") else []
    key = flag.partition("=")[0].removeprefix("--")
    assert value_at(job_with(job_files, "short", *clean, flag), key) == value


@given(st.lists(st.sampled_from(ODD_TEXTS)))
def test_parse_value_reads_a_list_as_yaml_writes_its_texts(items):
    text = "[" + ", ".join(yaml.safe_dump(item, default_style='"', width=10**6).strip() for item in items) + "]"
    assert parse_value("--input.exclude", KEYS["input.exclude"], text) == items


@pytest.mark.parametrize("text", ["[a, *b]", "[a: b: c]", "[a, [b]", '["a]'])
def test_parse_value_list_that_is_not_yaml_names_the_key_the_value_and_the_way_out(text):
    with pytest.raises(ConfigError) as caught:
        parse_value("--input.exclude", KEYS["input.exclude"], text)
    assert str(caught.value).startswith(f"--input.exclude is '{text}'")
    assert "write [a, b]" in str(caught.value)


@pytest.mark.parametrize("key", [key for key, field in KEYS.items() if value_name(field).startswith("NUMBER")])
@pytest.mark.parametrize("text", ["many", "", "1,5", "nan", "-99999999999", "null", "0x10"])
def test_parse_value_wrong_number_names_the_key_the_value_and_the_way_out(key, text):
    with pytest.raises(ConfigError, match=rf"^--{re.escape(key)} is '{re.escape(text)}': give a (whole )?number "):
        parse_value(f"--{key}", KEYS[key], text)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("transport.alpha", r"give a number from -4.* to 4, or min-error, loss<=0\.3dB or per-photo:loss<=0\.5dB"),
        ("transport.patch_size", "give a whole number from 1 to 15"),
        ("limits.max_error_rate", "give a number from 0.* to 1"),
        ("limits.image_timeout_s", "give a number above 0"),
        ("compute.workers", "give a whole number of at least 1, or auto"),
        ("transport.shrinkage_se", "give a number of at least 0.*, or auto"),
    ],
)
def test_parse_value_wrong_number_names_the_range_and_the_choices(key, message):
    with pytest.raises(ConfigError, match=f"{message}$"):
        parse_value(f"--{key}", KEYS[key], "many")


@pytest.mark.parametrize(
    ("key", "text"), [("compute.workers", "auto"), ("compute.workers", "3"), ("transport.alpha", "-0.5")]
)
def test_parse_value_number_or_choice_is_accepted(job_files, key, text):
    assert parse_value(f"--{key}", KEYS[key], text) == text
    assert str(value_at(job_with(job_files, "short", f"--{key}={text}"), key)) == text


def test_main_wrong_number_is_one_sentence_and_exit_status_2(job_files, capsys):
    assert main(["run", str(job_files / "short.yaml"), "--transport.alpha", "full"]) == 2
    assert capsys.readouterr().err == (
        "deepot run: --alpha is 'full': give a number from -4 to 4, or min-error, loss<=0.3dB or "
        "per-photo:loss<=0.5dB\n"
    )


def test_iter_keys_has_every_key_of_the_job_once():
    keys = [key for key, _ in iter_keys(Job)]
    assert len(keys) == len(set(keys))
    assert {key.partition(".")[0] for key in keys} == set(Job.model_fields)
    assert {"input", "input.images", "output", "output.uri", "calibration.reference"} <= set(keys)
    assert "transport" not in keys, "a section without a shorthand has no value of its own"


@pytest.mark.parametrize("key", KEYS)
def test_describe_key_lists_in_examples_can_be_given_as_they_stand(key):
    for example_list in re.findall(r"e\.g\. (\[.*?\])", describe_key(KEYS[key])):
        parse_value(f"--{key}", KEYS[key], example_list)


def test_run_help_shows_defaults_and_the_kinds_of_values(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for line in (
        "--limits.max_error_rate NUMBER above this fraction of failed images the exit status is 1 (default: 0.01)",
        "--transport.refit never|drift|always when new calibration photos give a new map: never, drift (beyond "
        "drift_limit), or always (default: never)",
        "modes to sweep (default: [auto, detail, residual, plain])",
        "--compute.workers NUMBER|auto ",
        "--transport.preserve LIST ",
        "--output URI ",
        "--input.images TEXT folder, glob, file, .txt list, .tar, .zip or .parquet#column; a path or any fsspec URI; "
        "or an archive: bagit:URI, ocfl:URI or iiif:URL",
        "--input.exclude LIST",
    ):
        assert line in text
