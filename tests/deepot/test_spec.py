import pytest
import torch
from torch import nn

from deepot.errors import SpecError
from deepot.spec import build_from_spec, call_factory, fingerprint, is_factory, parse_options, parse_spec


def test_parse_spec_splits_name_and_options():
    spec = parse_spec("noise: sigma = 50, mode=fast")
    assert (spec.name, dict(spec.options)) == ("noise", {"sigma": 50.0, "mode": "fast"})
    assert parse_spec("identity").options == {}


@pytest.mark.parametrize("options", ["5", "=5", "two words=5", "sigma=1,,x"])
def test_parse_options_of_another_form_are_refused(options):
    with pytest.raises(SpecError, match="is not of the form option=value"):
        parse_options(options, f"noise:{options}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("module:factory", True),
        ("package.module:factory:size=3", True),
        ("noise:sigma=50", False),
        ("noise", False),
        ("/a/folder:name", False),
        ("https://host", False),
    ],
)
def test_is_factory_recognises_module_and_function(text, expected):
    assert is_factory(text) == expected


def test_build_from_spec_passes_the_options_on():
    factories = {"pair": lambda first, second="b": (first, second)}
    assert build_from_spec(parse_spec("pair:first=1"), factories, "thing") == (1.0, "b")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("pear:first=1", "unknown thing 'pear' in 'pear:first=1'; did you mean 'pair'"),
        ("zzz", "unknown thing 'zzz' in 'zzz'; known are pair"),
        ("pair", "'pair': first is missing, as in pair:first=…"),
        ("pair:third=1", "there is no option 'third'; known options: first"),
        ("pair:first=x", "first is 'x', it must be a number"),
        ("pair:first=-1", "'pair:first=-1': it is negative"),
    ],
)
def test_build_from_spec_with_wrong_name_or_options_says_what_is_wrong(text, error):
    def make_pair(first: float):
        if first < 0:
            raise ValueError("it is negative")
        return first

    with pytest.raises(SpecError, match=error):
        build_from_spec(parse_spec(text), {"pair": make_pair}, "thing")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("fractions", "not of the form module:factory"),
        ("no_such_module:make", "cannot import 'no_such_module' .*; is its folder on PYTHONPATH"),
        ("fractions:nothing", "module 'fractions' has no factory 'nothing'"),
        ("fractions:Fraction:size=3", "there is no option 'size'"),
    ],
)
def test_call_factory_that_does_not_exist_or_fit_is_refused(text, error):
    with pytest.raises(SpecError, match=error):
        call_factory(text)


def test_call_factory_passes_the_options_on():
    assert call_factory("fractions:Fraction:numerator=0.5") == 0.5


def test_fingerprint_depends_on_text_and_weights():
    layer = nn.Conv2d(1, 1, 1)
    first = fingerprint("model", layer)
    assert fingerprint("model", layer) == first
    assert fingerprint("other", layer) != first
    with torch.no_grad():
        layer.weight += 1
    assert fingerprint("model", layer) != first
