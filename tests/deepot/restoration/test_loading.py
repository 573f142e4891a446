import pytest

from deepot.errors import RestorerError, SpecError
from deepot.restoration.loading import load_restorer


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("nln", SpecError, "did you mean 'nlm'"),
        ("nlm:sigm=5", SpecError, "there is no option 'sigm'; known options: sigma"),
        ("identity:sigma=5", SpecError, "there is no option 'sigma'; known options: none"),
        ("os:getcwd", RestorerError, "--allow-code"),
        ("spandrel:no/such.pth", RestorerError, "spandrel"),
    ],
)
def test_load_restorer_with_a_wrong_spec_says_what_is_wrong(spec, error, message):
    with pytest.raises(error, match=message):
        load_restorer(spec)


def test_load_restorer_of_a_missing_module_is_refused():
    with pytest.raises(SpecError, match="cannot import 'no_such_module'"):
        load_restorer("no_such_module:model", allow_code=True)


def test_load_restorer_fingerprint_depends_on_the_spec():
    fingerprints = {load_restorer(spec).sha256 for spec in ("identity", "nlm:sigma=5", "nlm:sigma=6")}
    assert len(fingerprints) == 3
