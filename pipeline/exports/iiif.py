"""The photos of a run as IIIF manifests, with level-0 image services that any web server hands out."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pipeline.config import Job
from pipeline.errors import ImageError
from pipeline.exports.copying import INPUT, OUTPUT, CopiedRow, explain_missing_result, read_verified
from pipeline.exports.folders import prepare_folder
from pipeline.exports.iiif_presentation import (
    CanvasImages,
    IiifOptions,
    make_collection,
    make_manifest,
    make_reference,
)
from pipeline.exports.iiif_tiles import ImageService, iter_service_files
from pipeline.exports.names import NamedRow
from pipeline.exports.options import ExportOptions
from pipeline.exports.run_files import open_exported_run, open_left_out
from pipeline.exports.summary import ExportCounter, ExportSummary
from pipeline.imageio import decode
from pipeline.progress import Progress
from pipeline.runs import RunPaths
from pipeline.sources import common_permissions
from pipeline.storage import escape_hashes, join_uri, prefetch_map, write

MAX_ITEMS = 1000
"""The most manifests of a collection; of more, there is a collection of collections."""
_THREADS = 4
_MAX_RESULT_PIXELS = 10**12


def export_iiif(run: RunPaths, options: ExportOptions, iiif: IiifOptions, progress: Progress) -> ExportSummary:
    """Write a manifest for each photo with a result, the tiles that it shows, and a collection of the manifests.

    Args:
        run: the run.
        options: which photos, and where to.
        iiif: what manifests state.
        progress: is advanced by every photo.

    Raises:
        ConfigError: the folder is not empty, or a name is not possible. Then nothing is written.
        RunError: the folder is not that of a run, or a manifest file is not what it should be.
        StorageError: the files cannot be written.
    """
    with open_exported_run(run, options) as exported, ExitStack() as stack:
        folder = prepare_folder(options.folder, exported.job)
        exported.check_names(folder, originals=True)
        left_out, counter = stack.enter_context(open_left_out()), ExportCounter()
        collections = _CollectionWriter(folder, iiif)
        exporter = _PhotoExporter(exported.job, folder, iiif)
        progress.begin("export", len(exported.selection))
        for named, done in prefetch_map(exporter.export, exported.iter_named(), _THREADS):
            if isinstance(done, str):
                counter.skip(named.row["file_name"], done)
                left_out.add(CopiedRow(named.row, (), done))
            else:
                counter.photos += 1
                for size in done:
                    counter.add_file(size)
                collections.add(named)
            progress.advance(1, int(isinstance(done, str)))
        progress.end()
        left_out.write(join_uri(folder, "not-exported.csv"))
        collections.close()
    return counter.summarize(folder)


@dataclass(frozen=True)
class _PhotoExporter:
    """Writes the manifest and the images of photos; called by several threads."""

    job: Job
    folder: str
    iiif: IiifOptions

    def export(self, named: NamedRow) -> list[int] | str:
        """Write what belongs to a row; returns the sizes of its files, or why there are none."""
        row = named.row
        if reason := explain_missing_result(row):
            return reason
        data = read_verified(self.job, row, OUTPUT)
        original = read_verified(self.job, row, INPUT)
        if isinstance(data, str):
            return data
        if isinstance(original, str):
            return f"the input: {original}"
        is_copy = row["input_sha256"] == row["output_sha256"]
        try:
            inputs = list(_iter_pages(original, self.job.limits.max_pixels))
            results = [] if is_copy else list(_iter_pages(data, _MAX_RESULT_PIXELS))
        except ImageError as error:
            return str(error)
        if results and len(results) != len(inputs):
            return f"the input has {len(inputs)} pages and the result {len(results)}"
        return list(self._write(named, inputs, results))

    def _write(self, named: NamedRow, inputs: list[Image.Image], results: list[Image.Image]) -> Iterator[int]:
        row, pages = named.row, list[CanvasImages]()
        permissions = common_permissions([row["input_uri"], row["output_uri"]])

        def write_one(path: str, data: bytes) -> int:
            write(join_uri(self.folder, escape_hashes(path)), data, permissions)
            return len(data)

        for number, image in enumerate(inputs, 1):
            services = list[ImageService]()
            for side, shown in ((INPUT, image), (OUTPUT, results[number - 1] if results else None)):
                if shown is None:
                    continue
                path = f"{named.original}/{side}/{number}"
                services.append(ImageService(self.iiif.url_of(path), *shown.size))
                for name, data in iter_service_files(shown, services[-1].uri):
                    yield write_one(f"{path}/{name}", data)
            pages.append(CanvasImages(services[0], services[1] if results else None))
        manifest = make_manifest(self.iiif, named.original, row, pages)
        yield write_one(f"{named.original}/manifest.json", _to_json(manifest))


def _iter_pages(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Yield the pages of a photo as they are seen: upright, in grey or sRGB of 8 bits."""
    photo = decode(data, max_pixels)
    orientation = photo.properties["orientation"] or 1
    for page in photo.pages:
        array = page.apply_orientation(orientation).to_grey_or_rgb8()
        yield Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


class _CollectionWriter:
    """Writes collections of at most `MAX_ITEMS` manifests, and at the end the one that leads to all."""

    def __init__(self, folder: str, iiif: IiifOptions) -> None:
        self._folder, self._iiif = folder, iiif
        self._items, self._parts = list[dict[str, Any]](), list[dict[str, Any]]()

    def add(self, named: NamedRow) -> None:
        """Add the manifest of a photo."""
        if len(self._items) == MAX_ITEMS:
            self._write_part()
        label = {"none": [named.row["file_name"]]}
        self._items.append(make_reference(self._iiif, f"{named.original}/manifest.json", "Manifest", label))

    def close(self) -> None:
        """Write what is left, and `collection.json`."""
        if self._parts:
            self._write_part()
        items = self._parts or self._items
        self._write("collection.json", make_collection(self._iiif, "collection.json", self._iiif.label, items))

    def _write_part(self) -> None:
        path = f"collections/{len(self._parts):05d}.json"
        label = f"{self._iiif.label} {len(self._parts) + 1}"
        self._write(path, make_collection(self._iiif, path, label, self._items))
        self._parts.append(make_reference(self._iiif, path, "Collection", self._iiif.text(label)))
        self._items = []

    def _write(self, path: str, document: Mapping[str, Any]) -> None:
        write(join_uri(self._folder, path), _to_json(document))


def _to_json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
