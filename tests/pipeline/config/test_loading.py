import pytest

from pipeline.config.loading import load_job, parse_job
from pipeline.errors import ConfigError

LEAST = {"input": {"images": "in"}, "output": {"uri": "out"}, "source": {"degrade": "noise:sigma=50"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transport": {"apha": 0.5}}, "unknown key 'transport.apha'; did you mean 'alpha'"),
        ({"inputt": {}}, "unknown key 'inputt'; did you mean 'input'"),
        ({"transport": {"patch_size": 4}}, "must be odd"),
        ({"transport": {"mode": "plane"}}, "transport.mode"),
        ({"transport": {"components": 9}}, "transport.components.*less than or equal to 5"),
        ({"transport": {"components": 3, "patch_size": 1}}, "patches of 1 have none: patch_size 3 has"),
        (
            {"transport": {"components": 3}, "source": {"images": "s"}, "reference": {"images": "r"}},
            "one may show more texture.*calibrate with source.degrade, or leave components at 1",
        ),
        ({"transport": {"keep": "colours"}}, "transport.keep"),
        ({"limits": {"max_error_rate": 2}}, "limits.max_error_rate.*less than or equal to 1"),
        ({"source": None}, "nothing to calibrate from"),
        ({"source": {"images": "s", "degrade": "noise:sigma=1"}, "reference": {"images": "r"}}, "one of the two"),
        ({"output": {}}, "'output.uri' is missing"),
        ({"input": "s3://in"}, "'input': it is made of keys: images, got 's3://in'"),
        ({"output": {"uri": "s3:/archive/x"}}, "'s3:/archive/x' would be a local folder 's3:/': write s3://archive/x"),
        ({"limits": None}, "'limits': it is made of keys: max_pixels, .*, got None"),
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
        "input: {images: in}\noutput: {uri: out}\nsource: {degrade: 'noise:sigma=50'}\n"
        "limits: {max_pixels: 400_000_000}\n"
    )
    job = load_job(path, {"transport.alpha": 0.5, "tiles.size": 512})
    assert (job.transport.alpha, job.tiles.size, job.limits.max_pixels) == (0.5, 512, 400_000_000)
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
