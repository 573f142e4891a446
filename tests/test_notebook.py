"""docs/researchers.ipynb: its cells run in order, and the outputs that it holds are those of the program."""

import contextlib
import io
import json
import re
from itertools import pairwise

import pytest
import torch

from tests.test_docs import DOCS, anchors_of
from tools.docs.notebook import tidy_notebook

NOTEBOOK = DOCS / "researchers.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
PROSE = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
NUMBER = r"-?\d+(?:\.\d+)?"


@pytest.fixture
def one_thread():
    """PyTorch with one thread: on a busy machine two of them wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def printed_output(cell):
    return "".join("".join(output.get("text", ())) for output in cell["outputs"])


@pytest.mark.usefixtures("one_thread")
def test_cells_print_what_the_notebook_shows(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot as plt

    names = {}
    try:
        for cell in CODE:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec("".join(cell["source"]), names)
            shown, printed = printed_output(cell), printed.getvalue()
            assert re.sub(NUMBER, "#", printed).split() == re.sub(NUMBER, "#", shown).split()
            found, expected = ([float(number) for number in re.findall(NUMBER, text)] for text in (printed, shown))
            assert found == pytest.approx(expected, rel=0.1, abs=0.1)
        plane, parabola = names["figure"].axes
        assert len(plane.lines) == 3 and len(parabola.lines) == 2
    finally:
        plt.close("all")
    auto, residual = names["curves"]["auto"], names["curves"]["residual"]
    assert auto[0] == residual[0], "α = 1 is the restored photo in every mode"
    assert all(after[1] < before[1] for before, after in pairwise(auto)), "smaller α: more natural"
    assert auto[-1][0] > residual[-1][0] + 1, "the gains take out what is error"


def test_outputs_are_small_and_of_no_machine():
    outputs = [output for cell in CODE for output in cell["outputs"]]
    pictures = [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]
    assert sorted(pictures) == ["image/jpeg", "image/png"]
    assert NOTEBOOK.stat().st_size < 150_000
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert not re.search(r"/(home|root|tmp|usr|work)/", "".join(map(printed_output, CODE)))
    assert all(cell["metadata"] == {} for cell in CELLS)


def test_tidy_notebook_keeps_one_form_of_a_picture_and_nothing_of_the_machine():
    picture = {"data": {"image/png": "…", "image/jpeg": "…", "text/plain": "…"}}
    code = {"metadata": {"execution": {"started": "…"}}, "outputs": [picture]}
    metadata = {"kernelspec": {"name": "python3"}, "language_info": {"name": "python", "version": "3.12.1"}}
    notebook = {"metadata": metadata, "cells": [code, {"metadata": {}}]}
    tidy_notebook(notebook)
    assert notebook["metadata"] == {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}}
    assert code["metadata"] == {} and picture["data"].keys() == {"image/jpeg", "text/plain"}


def test_links_lead_to_pages_and_headings():
    for name, anchor in re.findall(r"\]\((?!https:)([^)#]+)(?:#([^)]*))?\)", PROSE):
        assert (DOCS / name).is_file(), name
        assert not anchor or anchor in anchors_of(DOCS / name), f"{name}#{anchor}"
    assert re.search(r"\]\(method\.md#", PROSE)
