"""The names of exported photos: their own, or those of a template; no two photos get the same one.

A template has text and the fields of `FIELDS` in braces. Without a slash it names a file in the photo's folder; with
one it is a path from the top, as in `/{id}{suffix}`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

import numpy as np

from pipeline.config import Job, OutputLayout, output_folder
from pipeline.errors import ConfigError
from pipeline.imageio import EXTENSIONS, IMAGE_EXTENSIONS, parse_output_format
from pipeline.runs import RESULT_STATUSES, hash_name
from pipeline.storage import file_uri, has_unstorable_characters, unescape_hashes

FIELDS = ("folder", "stem", "suffix", "id", "page")
"""The fields of a template.

folder: the folder of the photo in the input.
stem: its file name without the extension.
suffix: the extension of the exported file, with its dot.
id: the first 16 digits of the SHA-256 of the photo's name, which stay the same in every run.
page: its number among the exported photos of its folder in the order of their names, from 0001.
"""
NAME_COLUMNS = ("file_name", "status", "input_sha256", "output_uri", "format", "map_sha256")
"""The columns that names are made from."""
NAME_ORDER = "regexp_replace(file_name, '[^/]*$', ''), file_name"
"""The order of rows in which the photos of a folder follow each other."""
MAX_COMPONENT_BYTES = 255
"""The most bytes that folders and files may have in their names on most disks."""
_ID_DIGITS, _PAGE_DIGITS = 16, 4
_NOT_PORTABLE = re.compile(r"[%\r\n\uf780-\uf7ff]|\s(?=$|/)")
"""What readers of bags decode differently: percent signs, line breaks, bytes that are not UTF-8, blanks at an end."""
_REJECTED = "rejected"


@dataclass(frozen=True)
class NamedRow:
    """A row with the names of its photos.

    Attributes:
        row: the row.
        result: the path of its result below the folder of results; empty if it has none.
        original: the path of the photo that the job read below the folder of originals; empty if it was not read.
    """

    row: Mapping[str, Any]
    result: str
    original: str


@dataclass(frozen=True)
class Namer:
    """Names the results of a run.

    Attributes:
        job: its job.
        run_id: the name of its folder.
        template: as in the module's description; None for the names that results have.
    """

    job: Job
    run_id: str
    template: str | None = None

    def __post_init__(self) -> None:
        if self.template is not None:
            check_template(self.template)

    def iter_named(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[NamedRow]:
        """Yield rows with their names; rows come in `NAME_ORDER`, with the columns `NAME_COLUMNS` at least.

        Raises:
            ConfigError: a name is not that of a file below a folder, or is too long.
        """
        folder, page = None, 0
        for row in rows:
            own_folder = row["file_name"].rpartition("/")[0]
            page = page + 1 if own_folder == folder else 1
            folder, name = own_folder, row["file_name"]
            result = self._name_result(row, page) if row["status"] in RESULT_STATUSES else ""
            yield NamedRow(row, result, make_portable(name, name) if row["input_sha256"] else "")

    def _name_result(self, row: Mapping[str, Any], page: int) -> str:
        own = self._own_name(row)
        if self.template is None:
            return make_portable(own, row["file_name"])
        folder, _, name = row["file_name"].rpartition("/")
        fields = {
            "folder": folder,
            "stem": strip_image_extension(name),
            "suffix": PurePosixPath(own).suffix,
            "id": make_photo_id(row["file_name"]),
            "page": f"{page:0{_PAGE_DIGITS}d}",
        }
        path = self.template.format_map(fields)
        if "/" not in self.template and folder:
            path = f"{folder}/{path}"
        return make_portable(path.lstrip("/"), row["file_name"])

    def _own_name(self, row: Mapping[str, Any]) -> str:
        """Return the name of a result below the output folder, or that of its input with an extension of its format."""
        uri, name = row["output_uri"] or "", str(row["file_name"])
        if self.job.output.layout is OutputLayout.FILES:
            folder = file_uri(output_folder(self.job.output.uri, row["map_sha256"] or "", self.run_id)).rstrip("/")
            if uri.startswith(f"{folder}/"):
                return unescape_hashes(uri.removeprefix(f"{folder}/"))
        output_format = parse_output_format(self.job.output.format) if row["status"] != _REJECTED else None
        extensions = output_format.extensions if output_format else EXTENSIONS.get(row["format"] or "", ())
        return name if not extensions or name.lower().endswith(extensions) else name + extensions[0]


def check_template(template: str) -> None:
    """Check that a template has known fields only, and is not the same name for all photos.

    Raises:
        ConfigError: it is not.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(f"names '{template}': {error}; write {{{{ and }}}} for braces that are no field") from None
    fields = [name for _, name, _, _ in parts if name is not None]
    if wrong := [name for name in fields if name not in FIELDS]:
        raise ConfigError(f"names '{template}' has the field {{{wrong[0]}}}; there are {_list_fields()}")
    if any(form or conversion for _, _, form, conversion in parts):
        raise ConfigError(f"names '{template}': fields have no formats; write them as in {{stem}}")
    if not {"stem", "id", "page"} & set(fields):
        raise ConfigError(f"names '{template}' would be the same for all photos: add {{stem}}, {{id}} or {{page}}")


def _list_fields() -> str:
    return ", ".join(f"{{{name}}}" for name in FIELDS)


def make_photo_id(file_name: str) -> str:
    """Return the first digits of the SHA-256 of a photo's name."""
    return hashlib.sha256(file_name.encode(errors="surrogateescape")).hexdigest()[:_ID_DIGITS]


def strip_image_extension(name: str) -> str:
    """Return a file name without its extension, if that is one of photos."""
    found = next((each for each in IMAGE_EXTENSIONS if name.lower().endswith(each)), "")
    return name[: -len(found)] if found and len(found) < len(name) else name


def make_portable(path: str, file_name: str) -> str:
    """Return a path with `_` for characters that programs read differently, and check that it is one below a folder.

    Args:
        path: the path.
        file_name: the photo, for the message.

    Raises:
        ConfigError: it has a component that is empty, `.` or `..`, or one of more than `MAX_COMPONENT_BYTES` bytes.
    """
    portable = _NOT_PORTABLE.sub("_", path)
    components = portable.split("/")
    if not {"", ".", ".."}.isdisjoint(components) or has_unstorable_characters(portable):
        raise ConfigError(f"'{file_name}' would be exported as '{portable}', which names no file: change --names")
    if too_long := [each for each in components if len(each.encode()) > MAX_COMPONENT_BYTES]:
        raise ConfigError(
            f"'{file_name}' would be exported with a name of {len(too_long[0].encode())} bytes, more than the "
            f"{MAX_COMPONENT_BYTES} that disks allow: give --names '/{{id}}{{suffix}}', or leave it out with --where"
        )
    return portable


def check_collisions(iter_names: Callable[[], Iterable[tuple[str, str]]], *, ignore_case: bool) -> None:
    """Check that no two photos get the same name.

    Args:
        iter_names: returns a new iterator at each call, over photos and their names; 16 bytes are held for each.
        ignore_case: whether names that differ in case only, or in how accents are encoded, are the same.

    Raises:
        ConfigError: two photos get the same name; the message has both.
    """

    def key_of(path: str) -> bytes:
        return hash_name(unicodedata.normalize("NFC", path).casefold() if ignore_case else path)

    buffer = bytearray()
    for _, path in iter_names():
        buffer += key_of(path)
    hashes = np.sort(np.frombuffer(buffer, np.dtype([("high", ">u8"), ("low", ">u8")])))
    same = hashes[1:] == hashes[:-1]
    if not same.any():
        return
    wanted = hashes[int(same.argmax())].tobytes()
    (first, _), (second, path), *_ = (pair for pair in iter_names() if key_of(pair[1]) == wanted)
    raise ConfigError(
        f"'{first}' and '{second}' would both be exported as '{path}': "
        "give --names with {id}, or leave one of them out with --where"
    )
