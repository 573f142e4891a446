"""The description of an export as a dataset: for programs in Croissant, and for people as a datasheet.

Croissant is MLCommons' vocabulary for datasets (version 1.0,
https://docs.mlcommons.org/croissant/docs/croissant-spec.html). Its JSON is written here, because the library for it,
mlcroissant, brings pandas and rdflib; tests validate it with that. The datasheet has the sections of Gebru et al.,
"Datasheets for Datasets", 2021. `removed.parquet` names every photo of the run that is not in the export, and why.
"""

import json
import mimetypes
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.curation.export import ExportResult, write_parquet
from pipeline.curation.packing import METADATA_NAME, PackedFile, PhotoPacker
from pipeline.curation.query import Selection
from pipeline.redaction import redact
from pipeline.runs import RunPaths
from pipeline.storage import join_uri, read, write

CARD_NAME, DATASHEET_NAME, REMOVED_NAME = "croissant.json", "README.md", "removed.parquet"
_CROISSANT = "http://mlcommons.org/croissant/1.0"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_MEDIA_TYPES = {".tar": "application/x-tar", ".parquet": "application/x-parquet"}
_REASON_SQL = """
SELECT file_name, status, error_code, error_message,
       CASE WHEN status = 'ok' THEN 'not selected' ELSE status END AS reason
FROM manifest WHERE {kind}_uri IS NULL OR file_name NOT IN (SELECT file_name FROM selected) ORDER BY file_name
"""
_DESCRIPTIONS = {
    "file_name": "Where the photo is: its name in a tar shard, or its path in the folder.",
    "tar": "The tar shard that holds the photo; null where photos are files.",
    "source_name": "The name of the photo in the run, as in the manifest's column file_name.",
}
_BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Question:
    """What was asked for.

    Attributes:
        name: of the dataset.
        where: the condition, in SQL.
        limit: the most photos; None without one.
        photo_kind: which photos the export holds, `output` or `input`.
    """

    name: str
    where: str
    limit: int | None
    photo_kind: str


@dataclass(frozen=True)
class DatasetCard:
    """Writes the card of an export of selected photos of a run."""

    run: RunPaths
    selection: Selection
    question: Question

    def __call__(self, result: ExportResult, packer: PhotoPacker, schema: pa.Schema) -> None:
        """Write `croissant.json`, `README.md` and `removed.parquet` into the folder of an export.

        Args:
            result: the result of the export.
            packer: has the files that were written.
            schema: the columns of the table of photos.
        """
        run_json = json.loads(read(self.run.run_json))
        removed = _Removed(self.selection, self.question.photo_kind, result.skipped)
        write_parquet(removed, join_uri(result.uri, REMOVED_NAME))
        description = _describe(self.question, run_json["job"], result.photos)
        card = _make_croissant(self.question.name, description, packer, schema)
        write(join_uri(result.uri, CARD_NAME), (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
        sheet = _make_datasheet(self.question, description, run_json, result, removed)
        write(join_uri(result.uri, DATASHEET_NAME), sheet.encode())


class _Removed:
    """The photos of a run that are not in an export, each with the reason, as rows that are streamed."""

    schema = pa.schema(
        [(name, pa.string()) for name in ("file_name", "status", "error_code", "error_message", "reason")]
    )

    def __init__(self, selection: Selection, photo_kind: str, skipped: Sequence[tuple[str, str]]) -> None:
        self._connection, self._sql = selection.connection, _REASON_SQL.format(kind=photo_kind)
        # photos without a file are in the table of the run
        self._unreadable = [
            (name, reason) for name, reason in skipped if not reason.startswith(f"no {photo_kind} photo")
        ]
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return self.counts.total()

    def iter_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Iterate over batches of the rows, and count them by their reasons."""
        self.counts.clear()
        for batch in self._connection.cursor().sql(self._sql).to_arrow_reader(_BATCH_ROWS):
            self.counts.update(row["error_code"] or row["reason"] for row in batch.to_pylist())
            yield pa.RecordBatch.from_arrays([column.cast(pa.string()) for column in batch.columns], schema=self.schema)
        rows = [{"file_name": name, "status": "ok", "reason": reason} for name, reason in self._unreadable]
        self.counts.update("not readable" for _ in rows)
        yield from pa.Table.from_pylist(rows, schema=self.schema).to_batches()


def _describe(question: Question, job: Mapping[str, Any], photos: int) -> str:
    kind = (
        "restored and enhanced photos" if question.photo_kind == "output" else "photos as they were before restoration"
    )
    return f"{photos} {kind} from {redact(job['input']['images'])}, selected by the condition: {question.where}"


def _make_croissant(name: str, description: str, packer: PhotoPacker, schema: pa.Schema) -> dict[str, Any]:
    tars = [{"@id": file.name} for file in packer.files if file.name.endswith(".tar")]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "conformsTo": _CROISSANT,
        "distribution": [
            *(_make_file_object(file) for file in packer.files),
            *(_make_file_set(suffix, tars) for suffix in sorted(packer.suffixes)),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "photos",
                "name": "photos",
                "description": "One row for each photo, as deepot's manifest has it (docs/results.md).",
                "key": {"@id": "photos/file_name"},
                "field": [_make_field(field) for field in schema],
            }
        ],
    }


def _make_file_object(file: PackedFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.size} B",
        "encodingFormat": _MEDIA_TYPES[file.name[file.name.rindex(".") :]],
        "sha256": file.sha256,
    }


def _make_file_set(suffix: str, tars: list[dict[str, str]]) -> dict[str, Any]:
    """Return the description of all photos of a format, in tar shards or in the folder `photos`."""
    name = f"photos{suffix}"
    file_set: dict[str, Any] = {"@type": "cr:FileSet", "@id": name, "name": name}
    if tars:
        file_set["containedIn"] = tars
    pattern = f"*{suffix}" if tars else f"photos/*{suffix}"
    return file_set | {"encodingFormat": media_type(suffix), "includes": pattern}


def _make_field(field: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"photos/{field.name}",
        "name": field.name,
        "description": _DESCRIPTIONS.get(field.name, f"The manifest's column {field.name}."),
        "dataType": _find_data_type(field.type),
        "source": {"fileObject": {"@id": METADATA_NAME}, "extract": {"column": field.name}},
    }


def _find_data_type(column_type: pa.DataType) -> str:
    if pa.types.is_boolean(column_type):
        return "sc:Boolean"
    if pa.types.is_integer(column_type):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(column_type) else "sc:Text"


def _make_datasheet(
    question: Question, description: str, run_json: Mapping[str, Any], result: ExportResult, removed: _Removed
) -> str:
    job = run_json["job"]
    lines = [
        "---",
        f"pretty_name: {json.dumps(question.name, ensure_ascii=False)}",
        "tags: [croissant, deepot]",
        "---",
        "",
        f"# {question.name}",
        "",
        f"{description}.",
        "",
        "The sections are those of Gebru et al., *Datasheets for Datasets* (2021). Lines with `TODO` are for you.",
        "",
        "## Motivation",
        "",
        "TODO: For what purpose was the dataset created, by whom, and who paid for it?",
        "",
        "## Composition",
        "",
        f"- {result.photos} photos, each with a row of measurements in `{METADATA_NAME}`.",
        f"- Of {result.photos + len(removed)} photos of the run, {len(removed)} are not in it; `{REMOVED_NAME}` names "
        "each of them with the reason:",
        "",
        "| reason | photos |",
        "| --- | --- |",
        *(f"| {reason} | {count} |" for reason, count in removed.counts.most_common()),
        "",
        "TODO: What do the photos show? Are there persons in them, and did they agree?",
        "",
        "## Collection",
        "",
        f"- Source: `{redact(job['input']['images'])}`.",
        "",
        "TODO: How were the photos acquired, and under which rights?",
        "",
        "## Preprocessing",
        "",
        *_describe_processing(question, job),
        f"- Selected by `{question.where}`" + (f", at most {question.limit}." if question.limit else "."),
        "",
        "## Uses, distribution, maintenance",
        "",
        "TODO: What should the dataset be used for, and what not? Under which licence is it? Who answers questions?",
        "",
    ]
    return "\n".join(lines)


def _describe_processing(question: Question, job: Mapping[str, Any]) -> Iterator[str]:
    if question.photo_kind == "input":
        yield "- The photos are the originals, byte for byte."
        return
    transport = job["transport"]
    yield (
        f"- Restored by `{redact(job['restorer'])}`, then moved towards natural photos by optimal transport of latent "
        f"patches (mode {transport['mode']}, α = {transport['alpha']}). The added detail is plausible, but does "
        "not show what was there. Rows with `untouched` keep every sample."
    )


def media_type(suffix: str) -> str:
    """Return the media type of images with a suffix."""
    return mimetypes.types_map.get(suffix, "application/octet-stream")
