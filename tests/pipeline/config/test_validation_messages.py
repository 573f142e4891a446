"""Mistakes in a job file, and the sentences that name the key, the value and the way out."""

import datetime

import pytest

from pipeline.config import Job, load_job, parse_job
from pipeline.config.renamed_keys import REMOVED_KEYS, RENAMED_KEYS, RENAMED_VALUES
from pipeline.config.validation_messages import find_section
from pipeline.errors import ConfigError

MINIMAL = {"input": {"images": "in"}, "output": {"uri": "out"}, "calibration": {"degradation": "noise:sigma=50"}}


def nest(dotted, value):
    """The content of a job file with one dotted key, beside what every job needs."""
    content = {key: dict(section) for key, section in MINIMAL.items()}
    *sections, last = dotted.split(".")
    inner = content
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = value
    return content


def error_of(content):
    with pytest.raises(ConfigError) as caught:
        parse_job(content, "job.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transport": {"apha": 0.5}}, "unknown key 'transport.apha'; did you mean 'transport.alpha'?"),
        ({"inputt": {}}, "unknown key 'inputt'; did you mean 'input'?"),
        ({"zzz": 1}, "unknown key 'zzz'"),
        ({"output": {}}, "'output.uri' is missing"),
        ({"output": ""}, "'output.uri': it is empty: write a path or a URI"),
        ({"input": "~no such user/in"}, "no home folder '~no such user': write ./~no such user/in"),
        ({"input": 3}, "'input': it must be a URI, or a mapping with the keys images, exclude, allow, got 3"),
        (
            {"input": ["a", "b"]},
            "'input': it must be a URI, or a mapping with the keys images, exclude, allow, got ['a', 'b']",
        ),
        ({"output": None}, "'output': it must be a URI, or a mapping with the keys uri, layout, format, metadata"),
        (
            {"calibration": {"reference": 3, "degradation": "blur"}},
            "'calibration.reference': it must be a URI, or a mapping with the keys images, exclude, allow, got 3",
        ),
        (
            {"calibration": {"reference": "r", "restored": ["s"]}},
            "'calibration.restored': it must be a URI, or a mapping with the keys images, exclude, allow, got ['s']",
        ),
        ({"calibration": "photos"}, "'calibration': it must be a mapping with the keys reference, degradation"),
        ({"limits": None}, "'limits': it must be a mapping with the keys max_pixels, "),
        ({"name": 1912}, "'name': it must be text, got 1912: write it in quotes"),
        ({"name": datetime.date(2024, 1, 5)}, "'name': it must be text, got 2024-01-05: write it in quotes"),
        (
            {"transport": {"alpha": "0,5"}},
            "job.yaml: 'transport.alpha' is '0,5': give a number from -4 to 4, or min-error, loss<=0.3dB or "
            "per-photo:loss<=0.5dB",
        ),
        ({"compute": {"workers": 0}}, "'compute.workers' is 0: give a whole number of at least 1, or auto"),
        (
            {"transport": {"mode": "plane"}},
            "'transport.mode': it must be 'auto', 'detail', 'residual' or 'plain', got 'plane'; did you mean 'plain'?",
        ),
        ({"output": datetime.date(2024, 1, 5)}, "format, metadata, marks, scores, got 2024-01-05: write it in quotes"),
        (
            {"transport": {"alpha": 0, 5: None}},
            "'transport' has the key 5, which is no text: write numbers with a point",
        ),
        ({"transport": {"patch_size": 4}}, "must be odd"),
        ({"transport": {"preserve": "colours"}}, "transport.preserve"),
        (
            {"transport": {"mixture_components": 9}},
            "'transport.mixture_components' is 9: give a whole number from 1 to 5",
        ),
        ({"transport": {"mixture_components": 3, "patch_size": 1}}, "patches of size 1 have none: use patch_size 3"),
        (
            {"transport": {"mixture_components": 3}, "calibration": {"reference": "r", "restored": "s"}},
            "calibrate with calibration.degradation, or leave transport.mixture_components at 1",
        ),
        ({"limits": {"max_error_rate": 2}}, "'limits.max_error_rate' is 2: give a number from 0 to 1"),
        ({"calibration": None}, "there is nothing to calibrate from: give calibration.degradation"),
        ({"calibration": {"restored": "s", "degradation": "blur", "reference": "r"}}, "give one of the two"),
        ({"output": "s3:/archive/x"}, "'s3:/archive/x' would be a local folder 's3:/': write s3://archive/x"),
    ],
)
def test_describe_error_names_the_key_the_value_and_the_way_out(changes, message):
    assert message in error_of(MINIMAL | changes)


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_describe_error_of_a_renamed_key_names_the_new_one(old, new):
    error = error_of(nest(old, "x"))
    assert f"unknown key '{old}'" in error
    assert f"did you mean '{new}'?" in error


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_load_job_of_a_renamed_key_as_a_flag_names_the_new_one(old, new, tmp_path):
    (tmp_path / "job.yaml").write_text("input: in\noutput: out\n")
    with pytest.raises(ConfigError) as caught:
        load_job(tmp_path / "job.yaml", {old: "x"})
    assert f"'{new}'" in str(caught.value)


@pytest.mark.parametrize("new", RENAMED_KEYS.values())
def test_renamed_keys_lead_to_keys_of_the_job(new):
    *path, key = new.split(".")
    assert key in (find_section(path) or Job).model_fields


def test_describe_error_of_an_old_section_names_every_new_key_in_one_sentence():
    source = {"degrade": "blur:sigma=1", "restorer": "identity", "images": "s", "limit": 5, "restored": "t", "qqq": 1}
    assert error_of(MINIMAL | {"source": source}).endswith(
        "unknown keys 'source.degrade', 'source.restorer', 'source.images', 'source.limit', 'source.restored', "
        "'source.qqq'; did you mean 'calibration.degradation', 'calibration.restorer', 'calibration.restored', "
        "'calibration.limit', 'calibration'?"
    )
    assert error_of(MINIMAL | {"reference": {"images": "r", "limit": 5}}).endswith(
        "unknown keys 'reference.images', 'reference.limit'; did you mean 'calibration.reference', 'calibration.limit'?"
    )
    assert "unknown key 'reference'; did you mean 'calibration.reference'?" in error_of(MINIMAL | {"reference": "r"})
    assert "unknown key 'source'; did you mean 'calibration'?" in error_of(MINIMAL | {"source": None})


def test_describe_error_of_a_job_of_the_old_kind_names_all_new_keys():
    old = {
        "input": {"images": "in"},
        "output": {"uri": "out", "layout": "mirror"},
        "reference": {"images": "natural"},
        "source": {"degrade": "noise:sigma=50"},
        "vae": "embedded",
        "transport": {"keep": ["colour"], "doubt": 1},
        "compute": {"actors": 2},
    }
    error = error_of(old)
    for new in ("reference", "degradation"):
        assert f"'calibration.{new}'" in error
    for new in ("autoencoder", "transport.preserve", "transport.shrinkage_se", "compute.workers", "files"):
        assert f"'{new}'" in error


@pytest.mark.parametrize(("key", "old"), RENAMED_VALUES)
def test_describe_error_of_a_renamed_value_names_the_new_one(key, old):
    new = RENAMED_VALUES[key, old]
    for value in (old, [old]) if key == "transport.preserve" else (old,):
        error = error_of(nest(key, value))
        assert f"'{key}" in error
        assert f"got '{old}'; did you mean '{new}'?" in error
    parse_job(nest(key, new))


@pytest.mark.parametrize("key", REMOVED_KEYS)
def test_describe_error_of_a_removed_key_says_what_to_do_instead(key):
    assert f"the key '{key}' no longer exists: {REMOVED_KEYS[key]}" in error_of(nest(key, ["mail"]))
