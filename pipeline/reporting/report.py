"""Report: one HTML page of a run, with pairs of photos and the distance to natural ones, everything inside it."""

import base64
import io
import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from deepot.errors import DeepotError
from deepot.transport.naturalness import Naturalness
from deepot.transport.transport_map import TransportMap
from pipeline.advice import advice_of
from pipeline.calibration.drift import drifts
from pipeline.calibration.maps import maps
from pipeline.errors import RunError
from pipeline.imageio.image_file import decode
from pipeline.reporting.curve import read_evaluation
from pipeline.reporting.manifest_summary import FAILURES, Survey, survey
from pipeline.runs.manifest import read_rows
from pipeline.runs.missing_inputs import vanished
from pipeline.runs.paths import Run, check_run
from pipeline.sources.members import read_photo
from pipeline.storage.folders import exists, names
from pipeline.storage.objects import absolute, put, read

_PAIRS, _CROP = 8, 360
_TEMPLATES = jinja2.Environment(loader=jinja2.PackageLoader("pipeline.reporting", "."), autoescape=True)


def write_report(run: Run) -> str:
    """Write the report of what is committed of a run; returns its URI.

    Raises:
        RunError: there is no run in that folder, or no map in it.
    """
    check_run(run)
    about = json.loads(read(run.about))
    transport = _transport(run, about["job"]["map"])
    found = survey(read_rows(run))
    gone = vanished(run)
    first_gone = list(islice(gone, FAILURES))
    page = _TEMPLATES.get_template("report.html.j2").render(
        about=about,
        map=transport.info,
        map_sha256=transport.sha256,
        counts={"images": found.status.total()} | {name: found.status[name] for name in ("ok", "skipped", "failed")},
        failures=found.failures,
        codes=[(count, code, advice_of(code)) for code, count in found.codes.most_common()],
        phases=found.phases,
        pairs=_pairs(found.drawn),
        plot=Markup(_plot(found, Naturalness(transport.reference, transport.info.patch_size).expected)),
        restores=about["job"]["restorer"] != "identity",
        evaluations=_evaluations(run),
        drifts=drifts(run)[-FAILURES:],
        vanished=first_gone,
        vanished_count=len(first_gone) + sum(1 for _ in gone),
    )
    put(run.report, page.encode())
    return run.report


def _transport(run: Run, given: str | None) -> TransportMap:
    """The map that the job names, or the latest of the run."""
    found = [absolute(given)] if given else maps(run)
    if not found:
        raise RunError(f"{run.uri} has no map yet: run 'deepot fit' or 'deepot run' first")
    return TransportMap.from_bytes(read(found[-1]), found[-1])


def _evaluations(run: Run) -> list[dict[str, Any]]:
    """The plots of the evaluations that are complete."""
    found = []
    for name in sorted(names(run.evaluation())):
        if exists(run.evaluation(name, "evaluation.json")):
            png = base64.b64encode(read(run.evaluation(name, "curve.png"))).decode()
            note = read_evaluation(run.evaluation(name)).note
            found.append({"name": name, "plot": f"data:image/png;base64,{png}", "note": note})
    return found


def _pairs(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The middle of photos from all over the collection, before and after, at full resolution."""
    chosen = rows[:: max(1, len(rows) // _PAIRS)][:_PAIRS]
    pairs = []
    for row in chosen:
        try:
            before, after = (_crop(row[column]) for column in ("source_uri", "output_uri"))
        except (DeepotError, OSError):
            continue  # a photo that is gone by now has no picture in the report; its row is counted all the same
        pairs.append(row | {"before": before, "after": after})
    return pairs


def _crop(uri: str) -> str:
    """The middle of a photo as a data URI."""
    pixels = decode(read_photo(uri), max_pixels=10**12).pixels
    rows, columns = (slice(max(0, (side - _CROP) // 2), (side + _CROP) // 2) for side in (pixels.height, pixels.width))
    return _data_uri(Image.fromarray(pixels.rgb8(rows, columns)))


def _data_uri(image: Image.Image) -> str:
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=92, subsampling=0)
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _plot(found: Survey, natural: float) -> str:
    """Naturalness before and after, as SVG, with a line where natural photos lie on average."""
    rows = [row for row in found.drawn if row["naturalness"] is not None]
    before, after = ([row[column] for row in rows] for column in ("naturalness", "naturalness_output"))
    from matplotlib.figure import Figure  # here: it takes half a second

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    if len(rows) <= 40:
        order = sorted(range(len(rows)), key=before.__getitem__)
        axes.hlines(range(len(rows)), [before[i] for i in order], [after[i] for i in order], color="0.7")
        axes.plot([before[i] for i in order], range(len(rows)), "o", label="before", color="#b5651d")
        axes.plot([after[i] for i in order], range(len(rows)), "o", label="after", color="#1d6fb5")
        axes.set_yticks(range(len(rows)), [rows[i]["file_name"][-28:] for i in order], fontsize=7, parse_math=False)
    else:
        axes.hist([before, after], bins=40, label=["before", "after"], color=["#b5651d", "#1d6fb5"])
        axes.set_ylabel("photos" if found.step == 1 else f"photos, one of {found.step}")
    axes.axvline(natural, color="#2a8f4e", linestyle="--", label="natural photos, mean")
    axes.set_xlabel("negative log-likelihood of latent patches under natural photos (nats per dimension)")
    axes.legend(loc="lower right")
    with io.StringIO() as file:
        figure.savefig(file, format="svg")
        return file.getvalue().partition("<svg")[2].join(["<svg", ""])
