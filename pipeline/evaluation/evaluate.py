"""Evaluate: the distortion–perception curve of a run's map, on photos whose clean originals are known.

Two rounds of tasks, and either goes on where it was stopped: one task a photo stores all that its versions are made of,
then one task a point measures that version of all photos. At the end the photos are removed and the numbers stay.
"""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deepot.evaluation.bootstrap import Estimate
from deepot.evaluation.metric_accumulator import Judge
from deepot.evaluation.variants import CLEAN, RESTORED, Point, sweep
from deepot.restoration.degradations import load_degradation
from deepot.transport.transport_map import TransportMap
from pipeline.calibration.maps import map_uri
from pipeline.cluster import session as cluster
from pipeline.config.job import Evaluation
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.evaluation.tasks import PhotoTask, PointTask, measure, photo_name, point_uri, prepare, wanted_of
from pipeline.reporting.curve import Evaluated, plot, read_evaluation
from pipeline.runs.plan import find_images
from pipeline.sources.sampling import sample
from pipeline.stages.driver import Opened, map_of
from pipeline.storage.folders import exists, names, remove
from pipeline.storage.objects import Entry, join, put, read, sha256

Execute = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Runs a function on many items, results in any order."""


def evaluate_job(opened: Opened) -> Evaluated:
    """Fit the map if there is none yet, and measure it; what is measured already is read.

    Raises:
        ConfigError: no `evaluate` in the job, code that is not allowed, or a photo without its clean original.
        NothingFoundError: not one photo could be used.
    """
    wanted = wanted_of(opened.job)
    if (wanted.features or wanted.metrics) and not opened.how.allow_code:
        raise ConfigError("evaluate.features and evaluate.metrics run code of the modules they name: add --allow-code")
    judges = [Judge(spec) for spec in filter(None, (wanted.features, *wanted.metrics))]
    if wanted.degrade is not None:
        load_degradation(wanted.degrade)  # what is wrong with it is said before any work
    pairs = _pairs(opened, wanted)
    with cluster.session(opened.how.address, opened.how.metrics_port) as session:
        transport = map_of(opened)
        transport.check(opened.models.codec)
        folder = opened.run.evaluation(_key(wanted, judges, pairs, transport))
        if not exists(join(folder, "evaluation.json")):
            with session.crew(opened.job, opened.how.allow_code) as crew:
                _evaluate(opened, wanted, pairs, folder, crew.execute)
    for part in ("photos", "scores"):  # large, and of no use any more
        remove(join(folder, part))
    return read_evaluation(folder)


def _evaluate(
    opened: Opened, wanted: Evaluation, pairs: Sequence[tuple[Entry, Entry | None]], folder: str, execute: Execute
) -> None:
    """Prepare the photos, measure the points, and store what was found."""
    unusable = _prepared(opened, pairs, folder, execute)
    numbers = tuple(number for number in range(len(pairs)) if number not in unusable)
    if not numbers:
        raise NothingFoundError(f"not one photo could be evaluated; the first: {next(iter(unusable.values()))}")
    points = sweep(wanted.modes, wanted.alphas)
    rows = _measured(opened, points, numbers, folder, execute)
    keys = [pairs[number][0].key for number in numbers]
    put(join(folder, "photos.parquet"), _parquet(keys, rows))
    points_found = {
        point: {name: Estimate(**found) for name, found in row["estimates"].items()}
        for point, row in zip(points, rows, strict=True)
    }
    left_out = {(pairs[number][1] or pairs[number][0]).uri: why for number, why in unusable.items()}
    found = Evaluated(folder, len(numbers), left_out, points_found)
    put(join(folder, "curve.png"), plot(found.points))
    put(join(folder, "evaluation.json"), found.to_json(run=opened.run.uri, evaluate=wanted.model_dump(mode="json")))


def _prepared(
    opened: Opened, pairs: Sequence[tuple[Entry, Entry | None]], folder: str, execute: Execute
) -> dict[int, str]:
    """Store the versions of photos that are not there yet; the numbers of those that cannot be used, and why."""
    job, how, uri = opened.job, opened.how, map_uri(opened.job, opened.run)
    done = names(join(folder, "photos"))
    missing = [
        PhotoTask(job, how.allow_code, uri, folder, number, *pair)
        for number, pair in enumerate(pairs)
        if photo_name(number) not in done
    ]
    how.progress.begin("prepare", len(missing))
    unusable: dict[int, str] = {}
    for number, why in execute(prepare, missing):
        unusable |= {number: why} if why else {}
        how.progress.advance(1, int(bool(why)))
    how.progress.end()
    return unusable


def _measured(
    opened: Opened, points: Sequence[Point], numbers: tuple[int, ...], folder: str, execute: Execute
) -> list[dict[str, Any]]:
    """What was measured of each point, of just these photos."""
    progress = opened.how.progress
    scores = join(folder, "scores", sha256(json.dumps(numbers).encode())[:8])
    progress.begin("measure", (1 + len(points)) * len(numbers))
    for together in ([Point(CLEAN)], [Point(RESTORED)], points[1:]):  # each needs the scores of those before it
        for _ in execute(measure, [PointTask(opened.job, folder, scores, numbers, point) for point in together]):
            progress.advance(len(numbers), 0)
    progress.end()
    return [json.loads(read(point_uri(scores, point))) for point in points]


def _pairs(opened: Opened, wanted: Evaluation) -> list[tuple[Entry, Entry | None]]:
    """The clean photos, each with its damaged version where that is in the input."""
    originals = list(find_images(wanted.clean, "evaluate.clean"))
    if wanted.degrade is not None:
        return [(entry, None) for entry in sample(originals, wanted.limit)]
    by_stem: dict[str, Entry] = {}
    for entry in originals:
        if _stem(entry.key) in by_stem:
            both = f"'{by_stem[_stem(entry.key)].key}' and '{entry.key}'"
            raise ConfigError(f"evaluate.clean {wanted.clean} has {both}: which is the original? keep one of the two")
        by_stem[_stem(entry.key)] = entry
    photos = list(find_images(opened.job.input.images, "input", opened.outside))
    known = [photo for photo in photos if _stem(photo.key) in by_stem]
    if not known:
        raise ConfigError(
            f"evaluate.clean {wanted.clean} has no original of any photo of the input, such as '{photos[0].key}': "
            "originals have the same names in the same folders, suffixes apart; or give evaluate.degrade"
        )
    return [(by_stem[_stem(photo.key)], photo) for photo in sample(known, wanted.limit)]


def _stem(key: str) -> str:
    return str(PurePosixPath(key).with_suffix(""))


def _key(
    wanted: Evaluation,
    judges: Sequence[Judge],
    pairs: Sequence[tuple[Entry, Entry | None]],
    transport: TransportMap,
) -> str:
    """What an evaluation is filed under: the settings, the networks that judge, the photos, the map."""
    photos = [[entry._asdict() if entry else None for entry in pair] for pair in pairs]
    content = [wanted.model_dump(mode="json"), [judge.sha256 for judge in judges], photos, transport.sha256]
    return sha256(json.dumps(content, sort_keys=True).encode())[:16]


def _parquet(keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """One row for each photo and point."""
    table: list[dict[str, Any]] = [
        {"file_name": key, "name": row["name"], "alpha": row["alpha"]}
        | {metric: values[index] for metric, values in row["photos"].items()}
        for row in rows
        for index, key in enumerate(keys)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), sink)
    return sink.getvalue()
