"""The page of a preview: every version of each photo, the numbers, and the command for each strength."""

import re

import pytest

from pipeline.preview import PreviewOptions, preview_job, render_preview_page
from tests.support.in_process_pool import OPTIONS

pytestmark = pytest.mark.usefixtures("in_process")


def test_render_preview_page_has_each_version_and_a_command_for_each_strength(make_job, tmp_path):
    job = make_job(images=2)
    (tmp_path / "restored" / "<b>broken.png").write_bytes(b"no photo")
    found = preview_job(job, OPTIONS, PreviewOptions())
    page = render_preview_page(found, lambda alpha: f"deepot run 'my job.yaml' --alpha {alpha:g}")
    assert page.count("data:image/webp;base64,") >= 2 * (1 + len(found.points))
    for alpha in ("1", "0.75", "0.5", "0.25", "0"):
        assert f"my job.yaml&#39; --alpha {alpha}" in page or f"my job.yaml' --alpha {alpha}" in page
    for label in ("restored (α = 1)", "α = 0.75", "plain, α = 0.5"):
        assert label in page
    assert "6 restored photos and the natural originals of the same photos (paired calibration)" in page
    assert "<b>broken" not in page and "cannot be shown" in page
    assert len(re.findall(r"\d+\.\d\d levels, \d+\.\d dB", page)) == 2 * len(found.points)
