"""The templates of the pages, whose style and script are part of each page: pages load no files."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipeline.escaping import escape

_FOLDER = Path(__file__).parent


def render_page(template: str, scripts: Sequence[str] = ("viewer.js",), **values: object) -> str:
    """Return a page from a template of this package; texts in it are escaped, unless they are `Markup`.

    Args:
        template: its file name.
        scripts: the file names of the scripts of the page.
        values: what the template is filled with.
    """
    return _TEMPLATES.get_template(template).render(values, scripts=scripts)


def _asset(name: str) -> Markup:
    """Return the text of a style sheet or script of this package, as it is."""
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))


def _sha256_source(name: str) -> str:
    """Return what a content security policy calls a script: only this one may run in the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()}"


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("pipeline.reporting", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
)
_TEMPLATES.globals |= {"asset": _asset, "sha256_source": _sha256_source}
