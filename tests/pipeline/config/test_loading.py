import pytest

from pipeline.config.loading import load_job, parse_job
from pipeline.errors import ConfigError

LEAST = {"input": {"images": "in"}, "output": {"uri": "out"}, "calibration": {"degradation": "noise:sigma=50"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transport": {"apha": 0.5}}, "unknown key 'transport.apha'; did you mean 'alpha'"),
        ({"inputt": {}}, "unknown key 'inputt'; did you mean 'input'"),
        ({"transport": {"patch_size": 4}}, "must be odd"),
        ({"transport": {"mode": "plane"}}, "transport.mode"),
        ({"transport": {"mixture_components": 9}}, "transport.mixture_components.*less than or equal to 5"),
        ({"transport": {"mixture_components": 3, "patch_size": 1}}, "patches of size 1 have none: use patch_size 3"),
        (
            {"transport": {"mixture_components": 3}, "calibration": {"reference": "r", "restored": "s"}},
            "one may show more texture.*calibrate with calibration.degradation, or leave transport.mixture_components at 1",
        ),
        ({"transport": {"preserve": "colours"}}, "transport.preserve"),
        ({"limits": {"max_error_rate": 2}}, "limits.max_error_rate.*less than or equal to 1"),
        ({"calibration": None}, "nothing to calibrate from"),
        ({"calibration": {"restored": "s", "degradation": "noise:sigma=1", "reference": "r"}}, "one of the two"),
        ({"output": {}}, "'output.uri' is missing"),
        ({"input": 3}, "'input': it must be a mapping with the keys images, exclude, got 3"),
        ({"output": {"uri": "s3:/archive/x"}}, "'s3:/archive/x' would be a local folder 's3:/': write s3://archive/x"),
        ({"limits": None}, "'limits': it must be a mapping with the keys max_pixels, .*, got None"),
        ({"transport": {"alpha": "0,5"}}, "'transport.alpha': .* valid number, .*, got '0,5'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_job(LEAST | changes, "job.yaml")
    assert "\n" not in str(caught.value)


def test_files_and_overrides(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(
        "input: {images: in}\noutput: {uri: out}\ncalibration: {degradation: 'noise:sigma=50'}\n"
        "limits: {max_pixels: 400_000_000}\n"
    )
    job = load_job(path, {"transport.alpha": 0.5, "tiles.max_side": 512})
    assert (job.transport.alpha, job.tiles.max_side, job.limits.max_pixels) == (0.5, 512, 400_000_000)
    for content, message in [
        ("- a list", "not a mapping"),
        ("a: [", "cannot be read"),
        ("a: !!python/name:os.x", "read"),
    ]:
        path.write_text(content)
        with pytest.raises(ConfigError, match=message):
            load_job(path)
    with pytest.raises(ConfigError, match="no job file"):
        load_job(tmp_path / "nothing.yaml")
