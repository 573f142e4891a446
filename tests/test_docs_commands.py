"""The commands of four pages, on one small run that README's commands make: each ends well and writes what it names."""

import io
import json
import re
import shlex
import shutil
import textwrap
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image

import pipeline
from jobs.cli import COMMANDS, _build_parser, main
from pipeline.reporting import report
from tests.support.in_process_pool import without_ray
from tests.support.photos import write_photos

ROOT = Path(__file__).resolve().parents[1]
README, JOB_FILE, RESULTS, CURATION = PAGES = [
    ROOT / name for name in ("README.md", "docs/job-file.md", "docs/results.md", "docs/curation.md")
]
REDIRECTION = re.compile(r" > ([\w.-]+)$")
AUTOENCODER = "tests.support.fake_autoencoders:shuffle"
QUICK = f"autoencoder: {AUTOENCODER}\ncompute: {{images_per_shard: 2}}\n"
STAND_INS = {
    "JOB": "scans.yaml",
    "JOB.yaml": "scans.yaml",
    "RUN": "scans.yaml",
    "PHOTO…": "scans/photo 01.png",
    "SHELL": "bash",
    "s3://archive/train/": "train/",
}
"""Words of the pages that stand for something else, and what the fixture has in their place."""
NOT_RUN = {
    "deepot credentials RUN --certificate FILE --key FILE": "needs a certificate, as in tests/pipeline/provenance",
    "deepot demo": "takes too long; tests/jobs/test_demo.py runs it",
    "deepot evaluate JOB": "needs clean originals, as in tests/pipeline/evaluation",
    "deepot init FOLDER|URI [--job FILE.yaml]": "is a syntax; README.md has the command",
    "deepot init PHOTOS": "would write the job file again; README.md has the command",
}
"""Commands that are not run, with the reason."""


def commands_of(page):
    """The commands of a page in its order, each once, from blocks and spans of code; not bare names of commands."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^ {4}(deepot [^\n]*)$|\$\((deepot [^)]*)\)|`(deepot [^`]+)`", text, re.MULTILINE)
    lines = [re.sub(r" (\| source|# ).*$", "", " ".join("".join(groups).split())) for groups in found]
    names = {f"deepot {name}" for name in COMMANDS}
    return [line for line in dict.fromkeys(lines) if line not in names or line in NOT_RUN]


def words_of(line):
    """The arguments of a command with stand-ins replaced; of a job that is given by flags, with a quick autoencoder."""
    words = [STAND_INS.get(word, word) for word in shlex.split(REDIRECTION.sub("", line))[1:]]
    return [*words, "--autoencoder", AUTOENCODER] if "--degradation" in words else words


def run_command(line):
    """Run a command, write what it prints to the file that it names for that, and return it.

    Raises:
        AssertionError: its exit status is not 0.
    """
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            status = main(words_of(line))
        except SystemExit as end:  # of --help
            status = end.code
    assert not status, f"{line}: {err.getvalue()}"
    if file := REDIRECTION.search(line):
        Path(file[1]).write_text(out.getvalue(), encoding="utf-8")
    return out.getvalue()


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """A folder with four scans, in which the commands of README.md were run, and what they printed."""
    folder = tmp_path_factory.mktemp("trial")
    write_photos(folder / "scans", 4)
    blown = Image.linear_gradient("L").resize((96, 72)).point(lambda level: min(255, 1.2 * level))
    blown.convert("RGB").save(folder / "scans" / "photo 02.png")
    with without_ray(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DEEPOT_ALLOW_CODE", "1")
        patch.setattr(report, "plot_patch_nll", lambda *_: "")
        printed = {}
        for line in commands_of(README):
            printed[line] = run_command(line)
            if line.startswith("deepot init"):
                with (folder / "scans.yaml").open("a", encoding="utf-8") as file:
                    file.write(QUICK)
        run = Path(pipeline.find_run_of_job(pipeline.load_job("scans.yaml")).uri)
        calibration = Path(json.loads((run / "run.json").read_text(encoding="utf-8"))["calibration"])
        yield SimpleNamespace(folder=folder, printed=printed, run=run, moments=calibration / "moments")


def reject_the_first_photo(folder):
    """Write the decisions that the review page saves, and return the name of the rejected photo."""
    page = (folder / "deepot-review.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="review-data">(.*?)</script>', page, re.DOTALL)
    review = json.loads(data)["review"]
    for number, photo in enumerate(review["photos"]):
        photo["decision"] = "accepted" if number else "rejected"
    (folder / "decisions.json").write_text(json.dumps(review), encoding="utf-8")
    return review["photos"][0]["file_name"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_valid_with_what_their_stand_ins_stand_for(page):
    lines = commands_of(page)
    assert len(lines) >= 3
    for line in lines:
        if "[" not in line and "--help" not in line:
            _build_parser().parse_args(words_of(line))


def test_commands_that_are_not_run_are_on_the_pages():
    assert not {*NOT_RUN} - {line for page in PAGES for line in commands_of(page)}


def test_commands_of_readme_lead_to_a_report_and_a_review(trial):
    assert "photos   4: 4 ok" in trial.printed["deepot run scans.yaml"]
    assert (trial.run / "report.html").exists()
    assert {"deepot-preview.html", "deepot-review.html"} <= {path.name for path in trial.folder.iterdir()}


def test_commands_of_the_page_about_job_files_run(trial):
    for line in commands_of(JOB_FILE):
        if line not in NOT_RUN:
            run_command(line)
    schema = json.loads((trial.folder / "job-file.schema.json").read_text(encoding="utf-8"))
    assert {*yaml.safe_load((trial.folder / "scans.yaml").read_text(encoding="utf-8"))} <= {*schema["properties"]}


def test_commands_of_the_page_about_results_run(trial):
    name = reject_the_first_photo(trial.folder)
    printed = {line: run_command(line) for line in commands_of(RESULTS) if line not in NOT_RUN}
    assert "1 rejected" in printed["deepot run JOB --decisions decisions.json"]
    original, result = (trial.folder / folder / name for folder in ("scans", "scans-enhanced"))
    assert result.read_bytes() == original.read_bytes()
    assert len([*(trial.folder / "enhanced").rglob("*.png")]) == 4


def test_commands_of_the_page_about_curation_run(trial):
    """The collections of the page are those of the run's calibration; its job compares scans."""
    for name, side in (("1910", "source"), ("1920", "reference"), ("1930", "source")):
        shutil.copytree(trial.moments / side, trial.folder / name)
    write_photos(trial.folder / "natural", 4, restored=False)
    (job,) = re.findall(r"^ {4}# decades.yaml\n((?: {4}.*\n)+)", CURATION.read_text(encoding="utf-8"), re.MULTILINE)
    folders = {"s3://archive/1910/": "natural", "s3://archive/1920/": "scans", "s3://archive/compared/": "compared"}
    for uri, name in folders.items():
        job = job.replace(uri, name)
    (trial.folder / "decades.yaml").write_text(textwrap.dedent(job) + QUICK, encoding="utf-8")
    printed, calibration = {}, ""
    for line in commands_of(CURATION):
        moments = line.replace("MOMENTS", str(trial.moments / "source")).replace("CALIBRATION", calibration)
        printed[line] = run_command(moments)
        if line == "deepot fit decades.yaml":
            (calibration,) = re.findall(r"^map +(.*)/maps/", printed[line], re.MULTILINE)
    assert [line for line in printed if line.startswith("deepot compare") and "W2" not in printed[line]] == []
    for name in ("blown.txt", "softest.parquet", "train/000000.tar", "duplicates.parquet", "decades.png"):
        assert (trial.folder / name).exists(), name
