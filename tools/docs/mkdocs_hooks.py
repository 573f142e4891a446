"""Hooks of mkdocs: they add the generated pages, and replace links to files outside docs/ and to notebooks."""

import re
from pathlib import PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

from tools.docs.notebook import NOTEBOOK, render_notebook
from tools.docs.reference import PAGES

_OUTSIDE_LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)\s]+)\)")
_NOTEBOOK_PAGE = f"{NOTEBOOK.stem}.md"


def on_files(files: Files, config: Any, **_: Any) -> Files:  # noqa: ANN401 — mkdocs' types
    """Add the files that are generated from the program."""
    for path, render in PAGES.items():
        files.append(File.generated(config, path, content=render()))
    text, pictures = render_notebook(NOTEBOOK)
    heading, rest = text.split("\n", 1)
    page = f"{heading}\n\n[Download this page as a notebook]({NOTEBOOK.name})\n{rest}"
    for path, content in {_NOTEBOOK_PAGE: page, **pictures}.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:  # noqa: ANN401 — mkdocs' types
    """Replace links out of docs/ and to notebooks, which work on GitHub, by what works in the site.

    Args:
        markdown: text of the page.
        page: the page; those in subfolders are generated and link only to other pages.
        config: mkdocs' configuration; `repo_url` may be unset.
    """
    if PurePosixPath(page.file.src_uri).parent != PurePosixPath("."):
        return markdown
    if page.file.src_uri != _NOTEBOOK_PAGE:
        markdown = markdown.replace(f"]({NOTEBOOK.name})", f"]({_NOTEBOOK_PAGE})")
    base = (config.repo_url or "").rstrip("/")
    return _OUTSIDE_LINK.sub(rf"[\1]({base}/blob/HEAD/\2)" if base else r"\1", markdown)
