"""Output formats of a job file that are refused."""

import pytest

from pipeline.config.loading import parse_job
from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("output_format", "message"),
    [
        ("jpg", "did you mean 'jpeg'"),
        ("jpeg:quality=0", "between 1 and 100"),
        ("png:quality=1", "quality"),
    ],
)
def test_output_format_that_does_not_exist_or_has_wrong_options_is_refused(output_format, message):
    content = {
        "input": {"images": "i"},
        "output": {"uri": "o", "format": output_format},
        "calibration": {"degradation": "noise:sigma=1"},
    }
    with pytest.raises(ConfigError, match=message):
        parse_job(content)
