"""The notebook docs/researchers.ipynb: running it, and showing it as a page of the site.

`make notebook` runs it and stores its outputs.

nbclient runs it and nbconvert turns it into Markdown, so that it looks like the other pages and loads nothing from
other servers.
"""

from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "researchers.ipynb"
_TIMEOUT_S = 600


def run_notebook(path: Path) -> None:
    """Run a notebook and store its outputs, without what differs between machines."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=_TIMEOUT_S, record_timing=False).execute()
    tidy_notebook(notebook)
    nbformat.write(notebook, path)


def tidy_notebook(notebook: dict[str, Any]) -> None:
    """Remove from a notebook what differs between machines, and the larger one of two forms of a picture."""
    notebook["metadata"] = {"kernelspec": notebook["metadata"]["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        for output in cell.get("outputs", ()):
            if "image/jpeg" in output.get("data", {}):
                output["data"].pop("image/png", None)


def render_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by the names that the text has for them."""
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_filename(str(path))
    pictures = {f"{path.stem}_{name}": data for name, data in resources["outputs"].items()}
    for name in resources["outputs"]:
        for kind in ("png", "jpeg"):
            text = text.replace(f"![{kind}]({name})", f"![what the cell above draws]({path.stem}_{name})")
    return text, pictures


if __name__ == "__main__":
    run_notebook(NOTEBOOK)
