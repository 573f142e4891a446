"""An extension of Griffe: the section "Example:" of a docstring is shown as code, as "Examples:" is."""

import re
from typing import Any

import griffe


class ShowExampleAsCode(griffe.Extension):  # type: ignore[misc]  # Griffe is not installed with the tests
    """Renames the section before the docstring is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401 — what Griffe adds
        """Rename the section in the docstring of a loaded object."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
