"""Flags that several commands share."""

import argparse

import pytest

from jobs.cli import _build_parser
from jobs.flags import file_with_suffix, number, run_from_args, run_options_from_args, whole_number
from pipeline.errors import ConfigError


def options_of(*flags):
    return run_options_from_args(_build_parser().parse_args(["run", "job.yaml", *flags]))


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5", "", "8"])
def test_whole_number_outside_of_the_range_names_the_value_and_the_range(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not possible: give a whole number from 1 to 7"):
        whole_number(1, 7)(text)


def test_whole_number_without_maximum_takes_any_from_the_minimum():
    assert [whole_number(1)(text) for text in ("1", "1000000")] == [1, 10**6]
    with pytest.raises(argparse.ArgumentTypeError, match="a whole number of at least 1"):
        whole_number(1)("0")


@pytest.mark.parametrize("text", ["nan", "inf", "-0.1", "soon", "1,5"])
def test_number_outside_of_the_range_names_the_value_and_the_range(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not possible: give a number of at least 0"):
        number(0)(text)


def test_number_in_the_range_is_returned():
    assert [number(-4, 4)(text) for text in ("-4", "0.5", "4e0")] == [-4, 0.5, 4]


def test_file_with_suffix_takes_any_case_and_names_the_suffix():
    assert file_with_suffix(".png")("A.PNG") == "A.PNG"
    with pytest.raises(argparse.ArgumentTypeError, match=r"'far\.svg' would be a \.png file: give a name that ends"):
        file_with_suffix(".png")("far.svg")


@pytest.mark.parametrize("text", ["runs/one", "runs/one/", "runs/one//"])
def test_run_from_args_makes_the_folder_absolute(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_from_args(argparse.Namespace(run=text)).uri == str(tmp_path / "runs" / "one")


@pytest.mark.parametrize("command", ["status", "verify", "gc", "report", "select", "duplicates"])
def test_commands_of_a_run_name_it_alike(command):
    args = _build_parser().parse_args([command, "s3://bucket/run/"])
    assert run_from_args(args).uri == "s3://bucket/run"


def test_run_options_from_args_flags_and_environment_allow_code(monkeypatch):
    monkeypatch.delenv("DEEPOT_ALLOW_CODE", raising=False)
    assert not options_of().allow_code
    assert options_of("--allow-code").allow_code
    monkeypatch.setenv("DEEPOT_ALLOW_CODE", "1")
    assert options_of().allow_code


def test_run_options_from_args_metrics_port_with_an_address_is_refused():
    assert options_of("--metrics-port", "8080").metrics_port == 8080
    with pytest.raises(ConfigError, match="--metrics-port works only with Ray on this machine; with --address"):
        options_of("--metrics-port", "8080", "--address", "auto")


def test_report_shows_twelve_photos_unless_another_number_is_given():
    assert _build_parser().parse_args(["report", "run"]).photos == 12
    assert _build_parser().parse_args(["report", "run", "--photos", "200"]).photos == 200
