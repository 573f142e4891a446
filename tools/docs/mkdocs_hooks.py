"""Hooks of mkdocs: links to files outside docs/ become links to the repository, or text if it has no address."""

import re
from pathlib import PurePosixPath
from typing import Any

_OUTSIDE_LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:  # noqa: ANN401 — mkdocs' types
    """Replace links out of docs/, which work on GitHub, by what works in the site.

    Args:
        markdown: text of the page.
        page: the page; those in subfolders are generated and link only to other pages.
        config: mkdocs' configuration; `repo_url` may be unset.
    """
    if PurePosixPath(page.file.src_uri).parent != PurePosixPath("."):
        return markdown
    base = (config.repo_url or "").rstrip("/")
    return _OUTSIDE_LINK.sub(rf"[\1]({base}/blob/HEAD/\2)" if base else r"\1", markdown)
