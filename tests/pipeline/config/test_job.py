"""The job and its two fingerprints."""

from pathlib import Path

import pytest

from deepot.transport import CalibrationKind
from pipeline.config import MarkSource, load_job, parse_job
from pipeline.errors import ConfigError

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
    same += [{"input": {"images": "in", "allow": ["s3://archive/"]}}]
    other = [
        {"transport": {"alpha": 0.1}},
        {"transport": {"consistency": "off"}},
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
        {"transport": {"consistency": "off"}},
        {"output": {"uri": "elsewhere", "format": "png", "metadata": "strip", "layout": "webdataset", "marks": "off"}},
        {"input": "other"},
        {"restorer": "nlm:sigma=5", "calibration": PAIRED["calibration"] | {"restorer": "identity"}},
        {"calibration": PAIRED["calibration"] | {"restorer": "identity"}},
        {"name": "x", "run": "r", "limits": {"max_error_rate": 0.5}},
        {"transport": {"refit": "always", "drift_limit": 0.5}, "output": "out/{map}"},
        {"calibration": PAIRED["calibration"] | {"reference": {"images": "natural", "allow": "s3://archive/"}}},
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
    found = {parse_job(PAIRED | change).calibration_fingerprint(MODELS | {"restorer": "x"}) for change in same}
    assert found == {original}
    changed = {parse_job(PAIRED | change).calibration_fingerprint(MODELS) for change in other}
    changed.add(job.calibration_fingerprint(MODELS | {"autoencoder": "b"}))
    assert len(changed | {original}) == len(other) + 2


PNG, SAME = {"output": {"uri": "out", "format": "png"}}, {"output": "out"}


@pytest.mark.parametrize(
    ("degradation", "consistency", "changes", "expected"),
    [
        ("jpeg:quality=20", "auto", PNG, True),
        ("jpeg:quality=20", "auto", SAME, True),
        ("jpeg:quality=20", "auto", PNG | {"restorer": "median:size=3"}, False),
        ("jpeg:quality=20", "off", PNG, False),
        ("blur:sigma=1+jpeg:quality=20", "auto", PNG, False),
        ("jpeg:quality=20+jpeg:quality=50", "auto", PNG, False),
        ("noise:sigma=50", "auto", PNG, False),
        ("noise:sigma=50", "jpeg", PNG, True),
        ("noise:sigma=50", "jpeg", SAME, True),
    ],
)
def test_coefficients_limit_results_of_jpeg_files_that_nothing_else_has_degraded(
    degradation, consistency, changes, expected
):
    calibration = PAIRED["calibration"] | {"degradation": degradation}
    job = parse_job(PAIRED | {"calibration": calibration, "transport": {"consistency": consistency}} | changes)
    assert job.limits_by_coefficients is expected


def test_consistency_with_jpeg_files_is_refused_where_they_are_restored():
    with pytest.raises(ConfigError, match=r"transport\.consistency is jpeg, but restorer is median:size=3"):
        parse_job(PAIRED | {"transport": {"consistency": "jpeg"}, "restorer": "median:size=3"})


def test_self_calibration_depends_on_the_input_and_its_restorer():
    job = parse_job(MINIMAL)
    changed = [parse_job(MINIMAL | change) for change in ({"input": "other"}, {"restorer": "median:size=3"})]
    assert len({each.calibration_fingerprint(MODELS) for each in (job, *changed)}) == 3


def test_what_lists_may_name_is_no_part_of_a_fingerprint(monkeypatch):
    """Runs go on after it has been allowed, and those of older versions have the fingerprints that they had."""
    unpaired = MINIMAL | {"calibration": {"reference": "natural", "restored": "restored"}}
    changes = [{"input": {"images": "in", "allow": "s3://a/"}}]
    changes += [
        {"calibration": unpaired["calibration"] | {side: {"images": uri, "allow": ["s3://a/", "/scans"]}}}
        for side, uri in unpaired["calibration"].items()
    ]
    for job in (MINIMAL, unpaired):
        for change in changes if job is unpaired else changes[:1]:
            for fingerprint in ("run_fingerprint", "calibration_fingerprint"):
                one, two = (getattr(parse_job(each), fingerprint)(MODELS) for each in (job, job | change))
                assert one == two
    hashed = []
    monkeypatch.setattr("pipeline.config.job._hash_settings", lambda settings, models: hashed.append(settings))
    for job in (MINIMAL, unpaired):
        parse_job(job).run_fingerprint(MODELS), parse_job(job).calibration_fingerprint(MODELS)
    assert len(hashed) == 4 and "allow" not in str(hashed)


def test_allowed_prefixes_are_one_or_a_list_and_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("scans", ["scans"], [f"file://{tmp_path}/scans"]):
        assert parse_job(MINIMAL | {"input": {"images": "in", "allow": given}}).input.allow == (f"{tmp_path}/scans",)


def test_run_fingerprint_depends_on_the_marks():
    jobs = [parse_job(MINIMAL | {"output": {"uri": "out", "marks": marks}}) for marks in MarkSource]
    assert len({job.run_fingerprint(MODELS) for job in jobs}) == len(MarkSource)
    assert parse_job(MINIMAL | {"output": "out"}).output.marks is MarkSource.NAME


def test_scores_are_part_of_the_run_fingerprint_only_where_they_are_left_out(monkeypatch):
    """Runs of older versions, which had no choice, go on; a manifest has scores in all rows or in none."""
    default, scored, unscored = (
        parse_job(MINIMAL | {"output": {"uri": "out"} | changes})
        for changes in ({}, {"scores": True}, {"scores": "false"})
    )
    assert (default.output.scores, scored.output.scores, unscored.output.scores) == (True, True, False)
    assert default.run_fingerprint(MODELS) == scored.run_fingerprint(MODELS) != unscored.run_fingerprint(MODELS)
    assert len({job.calibration_fingerprint(MODELS) for job in (default, unscored)}) == 1
    hashed = []
    monkeypatch.setattr("pipeline.config.job._hash_settings", lambda settings, models: hashed.append(settings))
    default.run_fingerprint(MODELS)
    assert "scores" not in hashed[0]["output"]
    with pytest.raises(ConfigError, match=r"output\.scores.*true or false"):
        parse_job(MINIMAL | {"output": {"uri": "out", "scores": "some"}})


def test_word_off_needs_no_quotes_in_yaml(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("input: in\noutput: {uri: out, marks: off}\ncalibration: {degradation: blur}\n"
                    "transport: {tone: off}\n")  # fmt: skip
    job = load_job(path)
    assert (job.output.marks, job.transport.tone) == (MarkSource.OFF, "off")
    with pytest.raises(ConfigError, match=r"'output.marks'.*'name', 'uri', 'hash' or 'off'"):
        parse_job(MINIMAL | {"output": {"uri": "out", "marks": "on"}})


def test_run_fingerprint_ignores_the_policies_of_refitting():
    output = {"output": "out/{map}"}
    settings = [{}, {"refit": "drift"}, {"refit": "always", "drift_limit": 0.5}]
    assert len({parse_job(MINIMAL | output | {"transport": each}).run_fingerprint(MODELS) for each in settings}) == 1


def jobs_of_two_folders(tmp_path, monkeypatch, uri):
    """The same job, which names everything by URIs of the given kind, started in two folders."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        yield parse_job(
            {
                "input": f"{uri}in",
                "output": {"uri": f"{uri}out/{{map}}"},
                "calibration": {"reference": {"images": f"{uri}natural"}, "restored": f"{uri}restored"},
                "run": f"{uri}runs",
                "evaluate": {"clean": f"{uri}clean"},
            }
        )


def uris_of(job):
    given = job.calibration
    return [
        job.input.images,
        job.output.uri,
        given.reference.images,
        given.restored.images,
        job.run,
        job.evaluate.clean,
    ]


@pytest.mark.parametrize("uri", ["", "./", "deep/er/", "file://", "file://./"])
def test_relative_uris_are_resolved_before_they_are_hashed(tmp_path, monkeypatch, uri):
    one, two = jobs_of_two_folders(tmp_path, monkeypatch, uri)
    assert all(found.startswith(f"{tmp_path}/one/") for found in uris_of(one))
    assert [found.replace("/one/", "/two/", 1) for found in uris_of(one)] == uris_of(two)
    assert one.run_fingerprint(MODELS) != two.run_fingerprint(MODELS)
    assert one.calibration_fingerprint(MODELS) != two.calibration_fingerprint(MODELS)


@pytest.mark.parametrize("uri", ["/data/", "file:///data/", "~/", "s3://bucket/", "memory://"])
def test_absolute_uris_mean_the_same_in_every_folder(tmp_path, monkeypatch, uri):
    monkeypatch.setenv("HOME", "/home/someone")
    one, two = jobs_of_two_folders(tmp_path, monkeypatch, uri)
    assert uris_of(one) == uris_of(two)
    assert one.input.images == {"~/": "/home/someone/in", "file:///data/": "/data/in"}.get(uri, f"{uri}in")
    assert one.run_fingerprint(MODELS) == two.run_fingerprint(MODELS)
    assert one.calibration_fingerprint(MODELS) == two.calibration_fingerprint(MODELS)


def test_the_map_of_a_job_is_resolved_before_it_is_hashed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_job({"input": "in", "output": "out", "map": "m.safetensors"}).map == str(
        Path("m.safetensors").resolve()
    )


@pytest.mark.parametrize(("strength", "alpha"), [(1, 0), (0.9, 0.1), (0, 1), ("0.25", 0.75), (1.5, -0.5)])
def test_strength_makes_the_same_job_as_its_alpha(strength, alpha):
    by_strength, by_alpha = (
        parse_job(PAIRED | {"transport": transport}) for transport in ({"strength": strength}, {"alpha": alpha})
    )
    assert by_strength == by_alpha
    assert by_strength.run_fingerprint(MODELS) == by_alpha.run_fingerprint(MODELS)
    assert parse_job(by_strength.model_dump(mode="json")) == by_alpha


def test_strength_beside_alpha_and_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="it has alpha and strength, which is 1 − alpha: give one of the two"):
        parse_job(PAIRED | {"transport": {"strength": 0.5, "alpha": 0.5}})
    for strength in (6, -4, "half", float("nan")):
        with pytest.raises(ConfigError, match=r"transport\.strength"):
            parse_job(PAIRED | {"transport": {"strength": strength}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"autoencoder": "owner/name"}, "only the embedded autoencoder has, but autoencoder is owner/name"),
        ({"transport": {"mixture_components": 3}}, r"transport\.mixture_components is 3, and only the map of a single"),
        ({"transport": {"alpha": "per-photo"}}, r"transport\.alpha is per-photo, chosen by scores whose last digits"),
    ],
)
def test_exact_computation_of_what_cannot_be_exact_is_refused(changes, message):
    exact = PAIRED | {"autoencoder": "embedded", "compute": {"dtype": "exact"}}
    assert parse_job(exact).compute.dtype == "exact"
    with pytest.raises(ConfigError, match=message):
        parse_job(exact | changes)
