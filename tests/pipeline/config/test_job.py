import pytest

from deepot.transport import CalibrationKind
from pipeline.config import parse_job

MINIMAL = {"input": "in", "output": "out", "calibration": {"degradation": "noise:sigma=50"}}
PAIRED = MINIMAL | {"calibration": {"reference": "natural", "degradation": "noise:sigma=50"}}
MODELS = {"autoencoder": "a", "restorer": "b", "calibration_restorer": "c"}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, CalibrationKind.SELF),
        ({"calibration": {"reference": "r", "degradation": "noise:sigma=50"}}, CalibrationKind.PAIRED),
        ({"calibration": {"reference": "r", "restored": "s"}}, CalibrationKind.UNPAIRED),
    ],
)
def test_calibration_kind_follows_from_what_the_job_gives(changes, kind):
    assert parse_job(MINIMAL | changes).calibration_kind is kind


def test_plain_uris_stand_for_sections_with_defaults():
    long = {
        "input": {"images": "in"},
        "output": {"uri": "out"},
        "calibration": {"reference": {"images": "natural"}, "degradation": "noise:sigma=50"},
    }
    assert parse_job(long) == parse_job(PAIRED)


def test_run_fingerprint_changes_with_what_decides_a_result_and_nothing_else():
    job = parse_job(MINIMAL)
    same = [{"name": "x"}, {"compute": {"workers": 3, "threads": 2}}, {"limits": {"max_error_rate": 0.5}}, {"run": "r"}]
    other = [
        {"transport": {"alpha": 0.1}},
        {"transport": {"mixture_components": 3}},
        {"restorer": "nlm:sigma=5"},
        {"compute": {"dtype": "bfloat16"}},
        {"limits": {"max_pixels": 5}},
        {"tiles": {"max_side": 512}},
        {"output": {"uri": "out", "format": "png"}},
        {"input": {"images": "in", "exclude": ["thumbs/*"]}},
    ]
    original = job.run_fingerprint(MODELS)
    assert {parse_job(MINIMAL | change).run_fingerprint(MODELS) for change in same} == {original}
    changed = {parse_job(MINIMAL | change).run_fingerprint(MODELS) for change in other}
    changed.add(job.run_fingerprint(MODELS | {"autoencoder": "b"}))
    assert len(changed | {original}) == len(other) + 2


def test_calibration_fingerprint_changes_with_what_decides_the_statistics_and_nothing_else():
    job = parse_job(PAIRED)
    same = [
        {"transport": {"alpha": 0.1, "mode": "residual", "preserve": "chroma"}},
        {"output": {"uri": "elsewhere", "format": "png", "metadata": "strip", "layout": "webdataset"}},
        {"input": "other"},
        {"restorer": "nlm:sigma=5", "calibration": PAIRED["calibration"] | {"restorer": "identity"}},
        {"name": "x", "run": "r", "limits": {"max_error_rate": 0.5}},
    ]
    other = [
        {"transport": {"patch_size": 5}},
        {"transport": {"mixture_components": 3}},
        {"transport": {"shrinkage_se": 1}},
        {"compute": {"dtype": "bfloat16"}},
        {"limits": {"max_bytes": 5}},
        {"tiles": {"max_side": 512}},
        {"autoencoder": "embedded", "calibration": PAIRED["calibration"] | {"limit": 5}},
        {"calibration": PAIRED["calibration"] | {"degradation": "blur:sigma=1"}},
        {"calibration": PAIRED["calibration"] | {"reference": "others"}},
    ]
    original = job.calibration_fingerprint(MODELS)
    explicit = parse_job(PAIRED | {"calibration": PAIRED["calibration"] | {"restorer": "identity"}})
    allowed = {original, explicit.calibration_fingerprint(MODELS)}
    assert {
        parse_job(PAIRED | change).calibration_fingerprint(MODELS | {"restorer": "x"}) for change in same
    } <= allowed
    changed = {parse_job(PAIRED | change).calibration_fingerprint(MODELS) for change in other}
    changed.add(job.calibration_fingerprint(MODELS | {"autoencoder": "b"}))
    assert len(changed | {original}) == len(other) + 2


def test_self_calibration_depends_on_the_input_and_its_restorer():
    job = parse_job(MINIMAL)
    changed = [parse_job(MINIMAL | change) for change in ({"input": "other"}, {"restorer": "median:size=3"})]
    assert len({each.calibration_fingerprint(MODELS) for each in (job, *changed)}) == 3


def test_relative_paths_mean_the_folder_where_the_job_was_started(tmp_path, monkeypatch):
    fingerprints = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        job = parse_job(PAIRED | {"run": "runs"})
        assert job.input.images == str(tmp_path / folder / "in")
        assert job.output.uri == str(tmp_path / folder / "out")
        assert job.run == str(tmp_path / folder / "runs")
        fingerprints |= {job.run_fingerprint(MODELS), job.calibration_fingerprint(MODELS)}
    assert len(fingerprints) == 4
