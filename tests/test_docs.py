"""The documentation: links lead somewhere, commands are valid, the tutorial works, the reference is complete."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import deepot
import pipeline
from jobs.cli import COMMANDS, _build_parser, main
from jobs.job_keys import iter_keys
from tests.support.photos import write_photos
from tools.docs.reference import PAGES, render_commands, render_keys, render_python

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGE_PATHS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
by_name = pytest.mark.parametrize("page", PAGE_PATHS, ids=lambda page: page.name)


def prose_of(page):
    """The text of a page without its blocks and spans of code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"(?<=\n)\n(?: {4}.*\n|\n)+", "\n", text)
    return re.sub(r"`[^`\n]*`", "code", text)


def anchors_of(page):
    """The anchors that GitHub gives to the headings of a page."""
    anchors = []
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#{1,6} (.*)$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        repeated = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in anchors)
        anchors.append(f"{anchor}-{repeated}" if repeated else anchor)
    return anchors


@by_name
def test_links_of_a_page_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        if page == DOCS / "index.md" and name in PAGES:  # the only page that is written for the site alone
            continue
        path = (page.parent / name).resolve() if name else page
        assert path.is_relative_to(ROOT) and path.exists(), f"{page.name}: there is no {target}"
        assert not anchor or anchor in anchors_of(path), f"{page.name}: {target} is no heading"


def test_anchors_are_those_of_github(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# The `alpha` of [it](x.md)\n```\n# no heading\n```\n## At any α, in short\n## Twice\n## Twice\n")
    assert anchors_of(page) == ["the-alpha-of-it", "at-any-α-in-short", "twice", "twice-1"]


class SiteLoader(yaml.SafeLoader):
    """Loads mkdocs.yml without calling the functions that it names."""


SiteLoader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def iter_nav(entries):
    for entry in entries:
        (value,) = entry.values()
        if isinstance(value, str):
            yield value
        else:
            yield from iter_nav(value)


def site_config():
    return yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), SiteLoader)


def test_navigation_of_the_site_has_every_page_once():
    generated = [name for name in PAGES if name.endswith(".md")]
    generated += [path.with_suffix(".md").name for path in DOCS.glob("*.ipynb")]
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(iter_nav(site_config()["nav"])) == sorted([*pages, *generated])


def test_site_is_built_strictly_and_loads_nothing_from_elsewhere():
    config = site_config()
    assert config["strict"] is True and config["theme"]["font"] is False
    assert not {"analytics", "extra_javascript"} & {*config, *config.get("extra", {})}


def commands_of(page):
    """Lines of code that call deepot, without comments; not those with placeholders."""
    lines = re.findall(r"^ {4}(deepot (?!\[).*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [re.sub(r" > \S+$", "", line) for line in lines if not re.search(r"[…\[|\\]", line)]
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    return [words for words in commands if words and words[0] in COMMANDS]


@by_name
def test_commands_of_a_page_are_valid(page):
    for words in commands_of(page):
        _build_parser().parse_args(words)


@pytest.mark.usefixtures("in_process")
def test_tutorial_works_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "scans", 10)
    before = {path: path.read_bytes() for path in (tmp_path / "scans").rglob("*.png")}
    *steps, estimate = commands_of(DOCS / "tutorial.md")
    assert [words[0] for words in steps] == ["init", "preview", "run", "status", "review", "verify"]
    job_file = tmp_path / "scans.yaml"
    (line,) = re.findall(r"^ {4}(transport: .*)$", (DOCS / "tutorial.md").read_text(encoding="utf-8"), re.MULTILINE)
    for words in steps:
        assert main(words) == 0, capsys.readouterr().err
        if words[0] == "preview":
            text = job_file.read_text(encoding="utf-8")
            job_file.write_text(re.sub(r"^transport: .*$", line, text, flags=re.MULTILINE), encoding="utf-8")
            assert line not in text and line in job_file.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "done     10 of 10: 10 ok" in printed and "\ncomplete\n" in printed
    assert {path: path.read_bytes() for path in before} == before
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"scans", "scans.yaml", "scans-enhanced", "_deepot", "deepot-preview.html", "deepot-review.html"}

    write_photos(tmp_path / "archive", 12)
    text = re.sub(r"^(input: .*)scans$", r"\1archive", job_file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"^(output: .*)$", r"\1-archive", text, flags=re.MULTILINE)
    job_file.write_text(text, encoding="utf-8")
    assert main(estimate) == 0
    assert "12" in capsys.readouterr().out and not (tmp_path / "scans-enhanced-archive" / "photo 01.png").exists()


def test_reference_of_keys_has_every_key_once():
    listed = re.findall(r"^\| `([\w.]+)` \|", render_keys(), re.MULTILINE)
    assert sorted(listed) == sorted(key for key, _ in iter_keys())


def test_reference_of_commands_has_every_command_and_no_key():
    text = render_commands()
    assert re.findall(r"^## deepot (\w+)$", text, re.MULTILINE) == [*COMMANDS]
    assert "--retry-failed" in text and "[--KEY VALUE" in text and "--transport.alpha" not in text
    assert max(map(len, text.splitlines())) <= 110


def test_reference_of_python_has_every_public_name():
    listed = re.findall(r"^::: (\w+)\.\w+\.(\w+)$", render_python(), re.MULTILINE)
    expected = [(package.__name__, name) for package in (deepot, pipeline) for name in package.__all__]
    assert sorted(listed) == sorted(expected)


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: make docs")
def test_site_builds(tmp_path):
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / name).with_suffix(".html").exists() for name in PAGES if name.endswith(".md"))
    assert "t(x*); what is added is then t(x*)" in (tmp_path / "method.html").read_text(encoding="utf-8"), "no emphasis"
    notebook = (tmp_path / "researchers.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<img alt="[^"]+" src="([^"]+)"', notebook)
    assert len(pictures) == 2 and all((tmp_path / picture).stat().st_size > 1000 for picture in pictures)
    assert 'href="researchers.html"' in (tmp_path / "python.html").read_text(encoding="utf-8")
    assert (tmp_path / "job-file.schema.json").read_text(encoding="utf-8") == PAGES["job-file.schema.json"]()
