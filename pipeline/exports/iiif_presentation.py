"""Manifests and collections of the IIIF Presentation API 3.0."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipeline.config import is_http_url
from pipeline.errors import ConfigError
from pipeline.exports.iiif_tiles import ImageService

_CONTEXT = "http://iiif.io/api/presentation/3/context.json"
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_INPUT_LABEL, _RESULT_LABEL = {"en": ["Input"], "de": ["Eingabe"]}, {"en": ["Result"], "de": ["Ergebnis"]}


@dataclass(frozen=True)
class IiifOptions:
    """What manifests state of all photos.

    Attributes:
        base_url: the URL that the folder of the export will have.
        label: the name of the collection.
        rights: URI of a licence or rights statement; None for none.
        attribution: a statement that viewers must show; None for none.
        language: language tag of the label and the attribution, or `none`.
    """

    base_url: str
    label: str
    rights: str | None = None
    attribution: str | None = None
    language: str = "none"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: a URL is none, or the language is no tag.
        """
        for flag, url in (("--iiif", self.base_url), ("--rights", self.rights)):
            if url is not None and (not is_http_url(url) or re.search(r"[\s<>\"]", url)):
                raise ConfigError(f"{flag} '{url}' is no URL: write one that begins with https:// or http://")
        if re.search(r"[?#]", self.base_url):
            raise ConfigError(f"--iiif '{self.base_url}' has a query or fragment: write the URL of a folder")
        if not _LANGUAGE_TAG.fullmatch(self.language):
            raise ConfigError(f"--language '{self.language}' is no language tag: write one such as en or pt-BR")

    def url_of(self, path: str) -> str:
        """Return the URL of a file below the folder, with percent signs for all but letters, digits and `-._~`."""
        encoded = "/".join(quote(name, safe="") for name in path.split("/"))
        return f"{self.base_url.rstrip('/')}/{encoded}"

    def text(self, value: str) -> dict[str, list[str]]:
        """Return a text in the language of the options."""
        return {self.language: [value]}


@dataclass(frozen=True)
class CanvasImages:
    """The images of one page; `result` is None if it would be the same as `original`."""

    original: ImageService
    result: ImageService | None


def make_manifest(
    options: IiifOptions, path: str, row: Mapping[str, Any], pages: Sequence[CanvasImages]
) -> dict[str, Any]:
    """Return the manifest of a photo: a canvas for each page, with its result and its input as a choice.

    A canvas has the size of the result, which is larger than the input if the restorer enlarges.

    Args:
        options: what is stated of all photos.
        path: the path of the photo's folder below that of the export.
        row: the row of the photo.
        pages: its pages.
    """
    uri, name = options.url_of(f"{path}/manifest.json"), str(row["file_name"])
    manifest: dict[str, Any] = {"@context": _CONTEXT, "id": uri, "type": "Manifest", "label": {"none": [name]}}
    manifest["metadata"] = [
        {"label": {"en": [label]}, "value": {"none": [str(value)]}}
        for label, value in (
            ("Status", row["status"]),
            ("Software", f"deepot {row['code_version']}" if row["code_version"] else None),
            ("Alpha", row["alpha"]),
            ("SHA-256 of the input", row["input_sha256"]),
            ("SHA-256 of the result", row["output_sha256"]),
        )
        if value is not None
    ]
    if options.attribution:
        statement = {"label": {"en": ["Attribution"]}, "value": options.text(options.attribution)}
        manifest["requiredStatement"] = statement
    if options.rights:
        manifest["rights"] = options.rights
    folder = options.url_of(path)
    manifest["items"] = [
        _make_canvas(f"{folder}/canvas/{number}", number, each) for number, each in enumerate(pages, 1)
    ]
    return manifest


def make_collection(options: IiifOptions, path: str, label: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a collection of manifests, or of collections.

    Args:
        options: what is stated of all photos.
        path: its path below the folder of the export.
        label: its name.
        items: references, as of `make_reference`.
    """
    collection = make_reference(options, path, "Collection", options.text(label))
    return {"@context": _CONTEXT, **collection, "items": list(items)}


def make_reference(options: IiifOptions, path: str, kind: str, label: dict[str, list[str]]) -> dict[str, Any]:
    """Return how a collection refers to a manifest or to a collection."""
    return {"id": options.url_of(path), "type": kind, "label": label}


def _make_canvas(uri: str, number: int, images: CanvasImages) -> dict[str, Any]:
    shown = images.result or images.original
    body = _make_image(images.original, _INPUT_LABEL)
    if images.result is not None:
        body = {"type": "Choice", "items": [_make_image(images.result, _RESULT_LABEL), body]}
    annotation = {
        "id": f"{uri}/annotation",
        "type": "Annotation",
        "motivation": "painting",
        "body": body,
        "target": uri,
    }
    return {
        "id": uri,
        "type": "Canvas",
        "label": {"none": [str(number)]},
        "width": shown.width,
        "height": shown.height,
        "items": [{"id": f"{uri}/page", "type": "AnnotationPage", "items": [annotation]}],
    }


def _make_image(service: ImageService, label: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "id": f"{service.uri}/full/max/0/default.jpg",
        "type": "Image",
        "format": "image/jpeg",
        "label": label,
        "width": service.width,
        "height": service.height,
        "service": [{"id": service.uri, "type": "ImageService3", "profile": "level0"}],
    }
