"""Photos of a IIIF manifest, or of all manifests below a collection, as addresses of the Image API.

The collections are read first, and their manifests sorted by address, so that keys stay the same when a collection
gets further manifests. Then manifests are read in that order, and each image is asked for its size, etag and date, by
at most the job's requests a second and at a time (`limits.server_requests_per_s`, `limits.server_connections`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pipeline.errors import AccessDeniedError, ErrorCode, NotAllowedError, StorageError, TooLargeError
from pipeline.sources.allowed_names import is_below
from pipeline.sources.fixity import make_failure
from pipeline.sources.iiif_collections import InvalidDocumentError, ListedManifest, iter_manifests, read_document
from pipeline.sources.iiif_documents import (
    NamedImage,
    count_other_resources,
    is_collection,
    iter_images,
    service_version,
)
from pipeline.sources.iiif_etags import mark_polite
from pipeline.sources.iiif_image_request import ImageOptions, choose_image_url, default_image_url
from pipeline.sources.iiif_names import IiifInput, image_extension, image_name, parse_iiif_input
from pipeline.sources.passed_over import FileKind, PassedOver
from pipeline.storage import (
    Entry,
    RequestPace,
    UnansweredError,
    has_unstorable_characters,
    prefetch_map,
    read_politely,
    server_of,
    stat_politely,
    strip_protocol,
)

_MAX_INFO_BYTES = 4 * 2**20
_MAX_IMAGES_AHEAD = 32


class _PlacedImage(NamedTuple):
    """An image with the place of its photo.

    Attributes:
        manifest: address of the manifest that names it.
        folder: what its key begins with.
        image: the image; None if the manifest cannot be read.
        numbered: whether it is one of several on its canvas.
        failure: why it, or its manifest, cannot be read, for its ETag; empty if nothing is known.
    """

    manifest: str
    folder: str
    image: NamedImage | None
    numbered: bool = False
    failure: str = ""


def list_iiif(uri: str, passed_over: PassedOver, allow: Sequence[str], pace: RequestPace) -> Iterator[Entry]:
    """Stream the images that a manifest or collection names, in the order of their keys.

    A key is the number of the canvas and the end of the image's identifier; below a collection, the address of the
    manifest comes before it. A manifest below a collection that is missing, refused or broken is yielded as an entry
    that fails when it is read.

    Args:
        uri: address of the manifest or collection; `#size=` and `#format=` after it ask for other images.
        passed_over: counts resources of canvases that are no images.
        allow: prefixes of addresses that documents may name, besides those of their own server.
        pace: how often a server is asked.

    Raises:
        FileNotFoundError: there is no such document.
        NotAllowedError: a document names an address of another server.
        StorageError: the first document, or a collection, cannot be read; or a server gives no answer.
    """
    given = parse_iiif_input(uri)
    document = read_document(given.url, pace)
    check_allowed = partial(_check_allowed, allow=allow)
    if is_collection(document):
        manifests = iter_manifests(given.url, document, pace, check_allowed)
        read = prefetch_map(partial(_read_manifest, pace=pace), manifests, pace.connections)
        placed: Iterator[_PlacedImage] = (
            image for each, found in read for image in _place_images(each.url, f"{each.folder}/", found, passed_over)
        )
    else:
        placed = _place_images(given.url, "", document, passed_over)
    make_entry = partial(_make_entry, given=given, pace=pace, check_allowed=check_allowed)
    for _, entry in prefetch_map(make_entry, placed, pace.connections, _MAX_IMAGES_AHEAD):
        yield entry


def _read_manifest(found: ListedManifest, pace: RequestPace) -> Mapping[str, Any] | str:
    """Return a manifest of a collection, or why it cannot be read, for the ETag of an entry."""
    url = found.url
    if found.same_as:
        return make_failure(
            ErrorCode.INVALID_PACKAGE,
            f"{url} and {found.same_as} would have photos of the same names: read one of them",
        )
    try:
        document = read_document(url, pace)
    except UnansweredError:  # else the photos of this manifest would seem to be missing
        raise
    except (FileNotFoundError, StorageError) as error:
        return _failure_of(error, url)
    if is_collection(document):
        return make_failure(ErrorCode.INVALID_PACKAGE, f"{url} is a collection, though another names it as a manifest")
    return document


def _place_images(
    url: str, folder: str, manifest: Mapping[str, Any] | str, passed_over: PassedOver
) -> Iterator[_PlacedImage]:
    if isinstance(manifest, str):
        yield _PlacedImage(url, folder, None, failure=manifest)
        return
    for _ in range(count_other_resources(manifest)):
        passed_over.add(url, FileKind.OTHER)
    held: list[NamedImage] = []  # of one canvas
    for image in iter_images(manifest):
        if held and image.canvas != held[0].canvas:
            yield from (_PlacedImage(url, folder, each, len(held) > 1) for each in held)
            held = []
        held.append(image)
    yield from (_PlacedImage(url, folder, each, len(held) > 1) for each in held)


def _make_entry(placed: _PlacedImage, given: IiifInput, pace: RequestPace, check_allowed: Any) -> Entry:  # noqa: ANN401
    image = placed.image
    if image is None:
        return Entry(placed.manifest, f"{placed.folder}manifest", 0, placed.failure, 0.0)
    address = image.service.uri if image.service else image.uri
    check_allowed(placed.manifest, address)
    try:
        url = _image_url(image, given.options, pace)
    except UnansweredError:
        raise
    except (FileNotFoundError, StorageError) as error:
        key = placed.folder + image_name(image, image_extension(image), placed.numbered)
        return Entry(address, key, 0, _failure_of(error, f"{address}/info.json"), 0.0)
    found = _stat_or_unknown(url, pace)
    extension = url.rpartition(".")[2] if image.service else image_extension(image)
    key = placed.folder + image_name(image, extension, placed.numbered)
    return Entry(url, key, found.size, mark_polite(found.etag), found.mtime)


def _stat_or_unknown(url: str, pace: RequestPace) -> Entry:
    """Return the state of an image; nothing of one whose server does not give it, as reading it reports why."""
    try:
        return stat_politely(url, pace)
    except UnansweredError:
        raise
    except (FileNotFoundError, StorageError):
        return Entry(url, "", 0, "", 0.0)


def _failure_of(error: Exception, url: str) -> str:
    """Return the ETag of a photo for an error about what leads to it."""
    if isinstance(error, FileNotFoundError):
        return make_failure(ErrorCode.MISSING, f"{url}: the server has no such document, though another names it")
    if isinstance(error, AccessDeniedError):
        return make_failure(ErrorCode.ACCESS_DENIED, str(error))
    code = ErrorCode.INVALID_PACKAGE if isinstance(error, InvalidDocumentError) else ErrorCode.READ_FAILED
    return make_failure(code, str(error))


def _image_url(image: NamedImage, options: ImageOptions, pace: RequestPace) -> str:
    """Return the address that an image is read from.

    Raises:
        FileNotFoundError: the service has no `info.json`.
        InvalidDocumentError: it is no JSON, or has no size.
        StorageError: it cannot be read.
    """
    service = image.service
    if service is None:
        return image.uri
    if service.version == 3 and options.are_default:
        return default_image_url(service.uri)
    uri = f"{service.uri}/info.json"
    try:
        info = json.loads(read_politely(uri, _MAX_INFO_BYTES, pace))
        if not isinstance(info, dict):
            raise ValueError("it is no JSON object")
        return choose_image_url(service.uri, service.version or service_version(info), info, options)
    except (ValueError, TypeError, ArithmeticError, RecursionError, TooLargeError) as error:
        raise InvalidDocumentError(f"{uri} is not that of an image service: {str(error)[:200]}") from error


def _check_allowed(document: str, named: str, allow: Sequence[str]) -> None:
    """Check that a document may name an address: one of HTTP on its own server, or below what the job allows.

    Raises:
        NotAllowedError: it may not.
    """
    own, other = server_of(document), server_of(named)
    is_http = named.lower().startswith(("http://", "https://")) and not has_unstorable_characters(named)
    if is_http and own is not None and other is not None:
        is_same = strip_protocol(own[0]) == strip_protocol(other[0])
        if is_same or any(is_below(named, prefix) for prefix in allow):
            return
    shown = named[:200].encode(errors="backslashreplace").decode()
    raise NotAllowedError(
        f"{document} names {shown}, which is on another server: if you trust it, allow it in the job file, beside "
        "images, as in `input: {images: iiif:…, allow: [https://images.example.org/]}`"
    )
