"""The comparison with the published method resumes draw by draw, and writes its table into a page."""

import json
import sys

import pytest

from benchmarks import eval_against_published
from tests.support.photos import make_photo

HISTORY = ("blur:sigma=1", "identity")
DRAWS = [{"photos": ["0.png", "1.png"], "others": ["2.png", "3.png"]}, {"photos": ["2.png", "3.png"]}]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the script over photos of 64 pixels; returns the measured draws, and the lines of the table."""
    for folder, count in (("clean", 4), ("natural", 4)):
        (tmp_path / folder).mkdir()
        for seed in range(count):
            make_photo(seed, 64, 64).save(tmp_path / folder / f"{seed}.png")
    monkeypatch.setattr(eval_against_published, "read_draws", lambda number: DRAWS[:number])
    options = ["--autoencoder", "tests.support.fake_autoencoders:blocks", "--features"]
    options += ["tests.support.fake_metrics:edge_features", "--allow-code", "--history", *HISTORY]
    options += ["--clean", str(tmp_path / "clean"), "--natural", str(tmp_path / "natural"), "--crop", "0"]
    options += ["--calibration", "paired", "--json", str(tmp_path / "results.json")]

    def call(*more):
        monkeypatch.setattr(sys, "argv", ["eval_against_published.py", *options, *more])
        eval_against_published.main()
        printed = capsys.readouterr()
        return printed.err.splitlines(), printed.out.splitlines()

    return call


def test_second_call_measures_only_missing_draws(run):
    first, table = run("--draws", "1", "--alphas", "0")
    assert [line.partition(":")[0] for line in first] == ["draw 1"]
    assert table[3].startswith("| paired, α = 0 | 1 | ")
    second, table = run("--draws", "2", "--alphas", "0")
    assert [line.partition(":")[0] for line in second] == ["draw 2"]
    assert table[3].startswith("| paired, α = 0 | 2 | ")
    assert run("--draws", "2", "--alphas", "0") == ([], table)
    measured, longer = run("--draws", "1", "--alphas", "0", "0.5")
    assert len(measured) == 1, "another α is measured"
    assert len(longer) == len(table) + 1


def test_measured_only_formats_what_the_file_holds(run):
    _, table = run("--draws", "1", "--alphas", "0")
    assert run("--draws", "2", "--alphas", "0", "--measured-only") == ([], table)


def test_again_measures_the_default_once_more_and_keeps_the_published_method(run, tmp_path):
    run("--draws", "1", "--alphas", "0")
    file = tmp_path / "results.json"
    text = file.read_text()
    results = json.loads(text)
    cells = results["results"][", ".join(HISTORY)]["tests.support.fake_autoencoders:blocks, paired"]["0"]
    cells["default 0"]["psnr"] = cells["published 0"]["psnr"] = 1.0
    file.write_text(json.dumps(results))
    measured, _ = run("--draws", "1", "--alphas", "0", "--again")
    assert len(measured) == 1
    found = json.loads(file.read_text())["results"][", ".join(HISTORY)]
    again = found["tests.support.fake_autoencoders:blocks, paired"]["0"]
    assert again["published 0"]["psnr"] == 1
    assert again["default 0"]["psnr"] > 1


def test_rows_in_which_the_default_is_ahead_are_counted(run, tmp_path):
    run("--draws", "1", "--alphas", "0.5", "0")
    file = tmp_path / "results.json"
    results = json.loads(file.read_text())
    history = results["results"][", ".join(HISTORY)]
    draw = history["tests.support.fake_autoencoders:blocks, paired"]["0"]
    history["restored"]["frechet"] = [10.0] * 5
    scores = {
        "default 0": (30.0, 2.0),
        "published 0": (29.0, 3.0),
        "default 0.5": (30.0, 9.0),
        "published 0.5": (30.25, 8.0),
    }
    for name, (psnr, distance) in scores.items():
        draw[name] |= {"psnr": psnr, "frechet": [distance] * 5}
    file.write_text(json.dumps(results))
    _, lines = run("--draws", "1", "--alphas", "0.5", "0", "--measured-only")
    in_psnr = "ahead in PSNR in 1 (elsewhere behind by up to 0.25 dB)"
    assert lines[-1].endswith(f"paired: of 2 rows the default is {in_psnr}, in the sum in 1 (by up to 30 points)")


def test_worst_draw_of_the_default_alone(run, tmp_path):
    measured, lines = run("--draws", "2", "--alphas", "0", "--methods", "default")
    assert len(measured) == 2
    assert not [line for line in lines if line.startswith("| paired")], "a row compares both methods"
    found = json.loads((tmp_path / "results.json").read_text())["results"][", ".join(HISTORY)]
    draws = found["tests.support.fake_autoencoders:blocks, paired"].values()
    assert [list(draw) for draw in draws] == [["default 0"]] * 2
    before = found["restored"]["frechet"]
    scores = [draw["default 0"] for draw in draws]
    largest = max(100 * (score["frechet"][0] / before[0] - 1) for score in scores)
    lowest = min(score["psnr"] for score in scores)
    expected = f"{lowest:.2f} dB (x* {found['restored']['psnr']:.2f}), {largest:+.0f}"
    assert lines[-1].partition(": ")[2].startswith(expected)
    assert "worst of 2 draws" in lines[-1]


def test_page_gets_the_table_between_its_markers(run, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Before\n<!-- begin: eval_against_published.py -->\nold\n<!-- end: eval_against_published.py -->\nAfter\n"
    )
    _, printed = run("--draws", "1", "--alphas", "0", "--page", str(page))
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("Before", "After")
    assert lines[2:-2] == [line for line in printed if line.startswith("|")]
    page.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        run("--draws", "1", "--alphas", "0", "--page", str(page))


def test_maps_whose_distance_grows_get_an_interval(run):
    _, printed = run("--draws", "1", "--alphas", "-8", "--replicates", "20")
    assert any("paired, α = -8: map 1 +" in line for line in printed)
