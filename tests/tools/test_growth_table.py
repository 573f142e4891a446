"""The tables of growth: what is measured is bold, the rest follows from the measured sizes."""

import json

import pytest

from benchmarks.growth_table import Sample, format_bytes, format_cell, format_seconds, read_steps

TWO_SIZES = [Sample(10**5, 2.0, 40.0), Sample(10**6, 30.0, 130.0)]


def test_cell_of_a_measured_size_is_bold():
    assert format_cell(TWO_SIZES, 10**5) == "**2 s, 40 MiB**"


def test_cell_of_another_size_follows_from_the_largest_and_the_line():
    assert format_cell(TWO_SIZES, 10**7) == "5 min, 1 GiB"  # 30 s times 10; 40 MiB and 10 for each 100,000 more
    assert format_cell(TWO_SIZES[:1], 10**7) == "3.3 min"
    assert format_cell([Sample(10**5, 2.0, 0.0), Sample(10**6, 30.0, 0.4)], 10**5) == "**2 s, < 1 MiB**"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.25 s"), (119, "119 s"), (600, "10 min"), (36_000, "10 h"), (4e6, "1,111 h")]
)
def test_seconds_have_the_unit_that_is_read_best(seconds, text):
    assert format_seconds(seconds) == text


def test_bytes_have_the_unit_that_is_read_best():
    assert [format_bytes(each) for each in (0, 3000, 5 * 2**30)] == ["0 bytes", "2.9 KiB", "5 GiB"]


def test_steps_come_from_the_files_of_the_benchmarks(tmp_path):
    numbers = {"cpu_microseconds_per_row": 3.0, "mib_above_imports": 28.0}
    content = {
        "options": {"images": "1000"},
        "results": {"make": numbers, "status, parts": numbers, "compact again": numbers, "files": {}},
    }
    (tmp_path / "bench_status_commands-1000.json").write_text(json.dumps(content))
    found = read_steps(tmp_path)
    sample = Sample(1000, pytest.approx(0.003), 28.0)
    assert found == {"`status`, manifest files": [sample], "`compact`, nothing to do": [sample]}
