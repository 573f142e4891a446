"""Manifests and collections of the IIIF Presentation API, versions 2 and 3, as parsed JSON: what they name.

The library `iiif-prezi3` validates a document of version 3 as one tree of models and reads no version 2; here only the
parts that name images are looked at, and what else a document has, or lacks, does not matter.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

_MANIFEST_TYPES, _COLLECTION_TYPES = ("Manifest", "sc:Manifest"), ("Collection", "sc:Collection", "CollectionPage")
_IMAGE_TYPES = ("Image", "dctypes:Image", "dcterms:Image")
_MAX_NESTING = 8


class ImageService(NamedTuple):
    """An image service that a manifest names.

    Attributes:
        uri: its address.
        version: of the Image API, 1 to 3; 0 if the manifest does not show it.
    """

    uri: str
    version: int


class NamedImage(NamedTuple):
    """An image on a canvas.

    Attributes:
        canvas: number of the canvas, from 1.
        number: of the image on that canvas, from 1.
        uri: address of the image itself; empty if it has none.
        service: the service that returns it in any size, if it has one.
        media_type: as the manifest states it, such as `image/jpeg`.
    """

    canvas: int
    number: int
    uri: str
    service: ImageService | None
    media_type: str


class Links(NamedTuple):
    """What a collection, or a page of one, names.

    Attributes:
        manifests: addresses of manifests.
        collections: addresses of further collections and pages.
        nested: collections that are embedded.
    """

    manifests: list[str]
    collections: list[str]
    nested: list[Mapping[str, Any]]


def is_collection(document: object) -> bool:
    """Whether a document is a collection, or a page of one."""
    return _type_of(document) in _COLLECTION_TYPES


def is_manifest(document: object) -> bool:
    """Whether a document is a manifest."""
    return _type_of(document) in _MANIFEST_TYPES


def read_links(collection: Mapping[str, Any]) -> Links:
    """Return what a collection names, in its order."""
    links = Links([], [], [])
    for key in ("collections", "manifests", "members", "items"):
        for item in _as_list(collection.get(key)):
            kind = {"collections": "Collection", "manifests": "Manifest"}.get(key) or _type_of(item)
            if kind in _MANIFEST_TYPES and (uri := _uri_of(item)):
                links.manifests.append(uri)
            elif kind in _COLLECTION_TYPES and _is_embedded(item):
                links.nested.append(item)
            elif kind in _COLLECTION_TYPES and (uri := _uri_of(item)):
                links.collections.append(uri)
    for key in ("first", "next"):
        page = collection.get(key)
        if _is_embedded(page):
            links.nested.append(page)  # type: ignore[arg-type]
        elif uri := _uri_of(page):
            links.collections.append(uri)
    return links


def iter_images(manifest: Mapping[str, Any]) -> Iterator[NamedImage]:
    """Yield the images of a manifest in the order of its canvases; of a choice the first one, which is the default."""
    for canvas_number, canvas in enumerate(_iter_canvases(manifest), 1):
        number = 0
        for resource in _iter_resources(canvas):
            if image := _find_image(resource):
                number += 1
                yield _read_image(image, canvas_number, number)


def count_other_resources(manifest: Mapping[str, Any]) -> int:
    """Return how many resources of a manifest's canvases are no images: sound, video and text."""
    return sum(not _find_image(resource) for canvas in _iter_canvases(manifest) for resource in _iter_resources(canvas))


def _iter_canvases(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for canvas in _as_list(manifest.get("items")):
        if isinstance(canvas, dict):
            yield canvas
    sequences = [each for each in _as_list(manifest.get("sequences")) if isinstance(each, dict)]
    for sequence in sequences[:1]:  # further ones are other orders of the same canvases
        yield from (canvas for canvas in _as_list(sequence.get("canvases")) if isinstance(canvas, dict))


def _iter_resources(canvas: Mapping[str, Any]) -> Iterator[object]:
    """Yield what is painted on a canvas."""
    for page in _as_list(canvas.get("items")):
        for annotation in _as_list(page.get("items")) if isinstance(page, dict) else ():
            if isinstance(annotation, dict) and "painting" in _as_list(annotation.get("motivation", "painting")):
                yield from _as_list(annotation.get("body"))
    for annotation in _as_list(canvas.get("images")):
        if isinstance(annotation, dict):
            yield from _as_list(annotation.get("resource"))


def _find_image(resource: object, nesting: int = 0) -> Mapping[str, Any] | None:
    """Return the image that a resource is, or the default one of a choice, or that of which it is a part."""
    if not isinstance(resource, dict) or nesting > _MAX_NESTING:
        return None
    kind = _type_of(resource)
    if kind in ("Choice", "oa:Choice"):
        choices = [
            *_as_list(resource.get("default")),
            *_as_list(resource.get("items")),
            *_as_list(resource.get("item")),
        ]
        found = (_find_image(choice, nesting + 1) for choice in choices)
        return next((image for image in found if image), None)
    if kind in ("SpecificResource", "oa:SpecificResource"):
        return _find_image(resource.get("source", resource.get("full")), nesting + 1)
    is_image = kind in _IMAGE_TYPES or str(resource.get("format", "")).startswith("image/")
    return resource if is_image and (_uri_of(resource) or _find_service(resource)) else None


def _read_image(image: Mapping[str, Any], canvas: int, number: int) -> NamedImage:
    media_type = str(image.get("format", "")).partition(";")[0].strip().lower()
    return NamedImage(canvas, number, _uri_of(image), _find_service(image), media_type)


def _find_service(image: Mapping[str, Any]) -> ImageService | None:
    """Return the image service of the latest version; other kinds of services are passed over."""
    services = [each for each in _as_list(image.get("service")) if isinstance(each, dict) and _uri_of(each)]
    known = [(version, _uri_of(each)) for each in services if (version := _service_version(each)) is not None]
    if not known:
        return None
    version, uri = max(known, key=lambda each: each[0])
    return ImageService(uri.rstrip("/"), version)


def _service_version(service: Mapping[str, Any]) -> int | None:
    """Return the version of the Image API that a service or `info.json` states: 0 if none, None if no such API."""
    kind = _type_of(service)
    for version in (3, 2, 1):
        if kind == f"ImageService{version}":
            return version
    texts = [str(each) for key in ("@context", "profile", "protocol") for each in _as_list(service.get(key))]
    for text in texts:
        for version, marks in ((3, ("api/image/3",)), (2, ("api/image/2",)), (1, ("image-api/1", "api/image/1"))):
            if any(mark in text for mark in marks):
                return version
    is_image = any(text in ("level0", "level1", "level2") or "/api/image" in text for text in texts)
    return 0 if is_image else None


def service_version(info: Mapping[str, Any]) -> int:
    """Return the version of the Image API that an `info.json` states; 2 if it states none."""
    return _service_version(info) or 2


def _as_list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _type_of(value: object) -> str:
    found = value.get("type", value.get("@type")) if isinstance(value, dict) else None
    first = next(iter(_as_list(found)), "")
    return first if isinstance(first, str) else ""


def _uri_of(value: object) -> str:
    """Return the address of a resource, which may be given by that alone."""
    found = value.get("id", value.get("@id")) if isinstance(value, dict) else value
    return found.strip() if isinstance(found, str) else ""


def _is_embedded(value: object) -> bool:
    keys: Iterable[str] = ("items", "members", "manifests", "collections")
    return isinstance(value, dict) and any(_as_list(value.get(key)) for key in keys)
