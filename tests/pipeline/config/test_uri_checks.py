"""Texts that cannot be stored are refused when the job is read, whichever key holds them."""

import json

import pytest

from jobs.cli import main
from jobs.job_keys import iter_keys, value_name
from pipeline.config.job import Job
from pipeline.config.loading import load_job, parse_job
from pipeline.config.uri_checks import _PATH_KEYS
from pipeline.errors import ConfigError

BASE = {"input": "in", "output": "out", "calibration": {"degradation": "noise:sigma=5"}}
KEYS = [key for key, _ in iter_keys(Job)]
NOT_TEXT = {
    "a high half": "a\ud800b",
    "a low half": "a\udc00",
    "a byte": "a\udcff",
    "halves in disorder": "\udc80\ud83d",
}


def make_job(key, value):
    """The content of a sound job with a value under a dotted key."""
    content = json.loads(json.dumps(BASE))
    section = content
    *parents, last = key.split(".")
    for name in parents:
        section = section.setdefault(name, {}) if not isinstance(section.get(name), str) else section
        if name in section and isinstance(section[name], str):
            section[name] = {}
            section = section[name]
    section[last] = value
    return content


@pytest.mark.parametrize("kind", NOT_TEXT)
@pytest.mark.parametrize("key", KEYS)
def test_parse_job_with_half_a_surrogate_pair_names_the_key(key, kind):
    value = NOT_TEXT[kind]
    for content in (make_job(key, value), make_job(key, [value])):
        if key in _PATH_KEYS and kind == "a byte":
            continue  # a local file name may hold any byte
        with pytest.raises(
            ConfigError, match=rf"^job: '{key}': .* holds a character that is not valid Unicode"
        ) as caught:
            parse_job(content)
        assert str(caught.value).isascii()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["input", "output.uri", "calibration.reference", "map", "run", "evaluate.clean"])
@pytest.mark.parametrize("uri", ["s3://bucket/a\udcff", "memory://a\udc80", "a\0b", "~/a\ud800"])
def test_parse_job_with_a_uri_that_no_storage_takes_names_the_key(key, uri):
    with pytest.raises(ConfigError, match=rf"^job: '{key}': .* holds a character that is not valid Unicode"):
        parse_job(make_job(key, uri))


def test_path_keys_are_the_keys_that_make_local_paths_absolute():
    accepted = set()
    for key, field in iter_keys(Job):
        if value_name(field) in ("TEXT", "URI"):
            try:
                parse_job(make_job(key, "folder/a\udcff"))
            except ConfigError as error:
                if "not valid Unicode" in str(error):
                    continue
            accepted.add(key)
    assert accepted == _PATH_KEYS


def test_parse_job_with_bytes_in_a_local_path_stores_them_as_text():
    job = parse_job(BASE | {"input": "/in/a\udcff", "output": "file:///out/\udc80"})
    assert (job.input.images, job.output.uri) == ("/in/a\uf7ff", "/out/\uf780")


@pytest.mark.parametrize("content", [{"na\ud800me": 1}, {"output": {"uri": "out", "x\udcff": "y"}}])
def test_parse_job_with_half_a_surrogate_pair_in_a_key_is_refused(content):
    with pytest.raises(ConfigError, match=r"the name of a key: .* holds a character that is not valid Unicode"):
        parse_job(BASE | content)


def test_parse_job_with_half_a_surrogate_pair_in_the_webhook_does_not_show_it():
    with pytest.raises(ConfigError, match=r"'notify\.webhook': its value holds") as caught:
        parse_job(BASE | {"notify": {"webhook": "https://host/secret\udcff"}})
    assert "secret" not in str(caught.value)


def test_load_job_of_escapes_in_yaml_refuses_half_a_pair_and_takes_text(tmp_path):
    text = '{input: in, output: out, calibration: {degradation: "noise:sigma=5"}, name: "%s"}'
    (tmp_path / "job.yaml").write_text(text % "a\\uD800")
    with pytest.raises(ConfigError, match=r"job\.yaml: 'name': 'a\\ud800' holds a character"):
        load_job(tmp_path / "job.yaml")
    (tmp_path / "job.yaml").write_text(text % "a\\U0001F600é")
    assert load_job(tmp_path / "job.yaml").name == "a\U0001f600é"


@pytest.mark.parametrize(
    "key", ["name", "autoencoder", "restorer", "output.format", "transport.alpha", "input.exclude"]
)
@pytest.mark.parametrize("value", ["a\udcff", "a\ud800", "[a\udcff]"])
def test_command_with_half_a_surrogate_pair_in_a_flag_ends_with_one_sentence_and_no_files(tmp_path, capsys, key, value):
    (tmp_path / "in").mkdir()
    (tmp_path / "job.yaml").write_text(
        json.dumps(BASE | {"input": str(tmp_path / "in"), "output": str(tmp_path / "out")})
    )
    assert main(["run", str(tmp_path / "job.yaml"), f"--{key}", value]) == 2
    printed = capsys.readouterr()
    assert key.rpartition(".")[2] in printed.err
    assert printed.err.count("\n") == 1
    assert "this is a bug" not in printed.err.lower()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["status", "report", "verify", "gc"])
def test_command_with_half_a_surrogate_pair_in_a_uri_ends_with_one_sentence(capsys, command):
    assert main([command, "memory://run\udcff"]) == 2
    printed = capsys.readouterr()
    assert "holds a character that is not valid Unicode" in printed.err
    assert printed.err.count("\n") == 1
