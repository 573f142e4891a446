"""The report of a run: one HTML page without external files."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from deepot.errors import DeepotError
from deepot.transport import PatchNll
from pipeline.calibration import calibration_of_run, load_map_of_run, read_drift_records
from pipeline.errors import advice_for
from pipeline.escaping import escape
from pipeline.imageio import decode
from pipeline.reporting.error_curve import figure_to_svg, plot_error_curve
from pipeline.reporting.evaluation_result import read_evaluation
from pipeline.reporting.evaluation_table import tabulate_evaluation
from pipeline.reporting.manifest_summary import MAX_LISTED, ManifestSummary, summarize_manifest
from pipeline.runs import RunPaths, iter_manifest_tables, iter_missing_inputs, require_run
from pipeline.sources import common_permissions, read_photo
from pipeline.storage import exists, list_names, read, write

_MAX_PAIRS, _CROP_SIDE = 8, 360
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("pipeline.reporting", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
)


def write_report(run: RunPaths) -> str:
    """Write the report of a run from its commits; who may not read all photos of which it shows a part cannot read it.

    Returns:
        The URI of the report.

    Raises:
        RunError: the folder has no run, or the run has no map yet.
    """
    require_run(run)
    run_json = json.loads(read(run.run_json))
    transport = load_map_of_run(run)
    summary = summarize_manifest(iter_manifest_tables(run))
    pairs = _crop_pairs(summary.sampled_rows, run_json["job"])
    missing = iter_missing_inputs(run)
    first_missing = list(islice(missing, MAX_LISTED))
    page = _TEMPLATES.get_template("report.html.j2").render(
        run=run_json,
        map=transport.info,
        alpha=transport.resolve_alpha(run_json["job"]["transport"]["alpha"], run_json["job"]["transport"]["mode"]),
        tone=transport.tone.summary if transport.tone else None,
        change=transport.change,
        error_plot=Markup(plot_error_curve(transport, run_json["job"]["transport"]["mode"])),
        map_sha256=transport.sha256,
        counts={"images": summary.status_counts.total()}
        | {name: summary.status_counts[name] for name in ("ok", "skipped", "failed")},
        failures=summary.failures,
        codes=[(count, code, advice_for(code)) for code, count in summary.error_code_counts.most_common()],
        phases=summary.phase_seconds,
        pairs=pairs,
        plot=Markup(_plot_patch_nll(summary, PatchNll(transport.reference, transport.info.patch_size).expected)),
        has_restorer=run_json["job"]["restorer"] != "identity",
        evaluations=_load_evaluations(run),
        drifts=_load_drift_records(run, run_json),
        missing=first_missing,
        missing_count=len(first_missing) + sum(1 for _ in missing),
    )
    shown = [pair[column] for pair in pairs for column in ("input_uri", "output_uri")]
    write(run.report, page.encode(), common_permissions(shown))
    return run.report


def _load_drift_records(run: RunPaths, run_json: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read the latest drift records of the run's calibration; there are none if the job names a map."""
    return [] if run_json["job"]["map"] else read_drift_records(calibration_of_run(run))[-MAX_LISTED:]


def _load_evaluations(run: RunPaths) -> list[dict[str, Any]]:
    """Read the plots, tables and notes of the finished evaluations."""
    evaluations = []
    for name in sorted(list_names(run.evaluation())):
        if exists(run.evaluation(name, "evaluation.json")):
            png = base64.b64encode(read(run.evaluation(name, "curve.png"))).decode()
            result = read_evaluation(run.evaluation(name))
            plot, table = f"data:image/png;base64,{png}", tabulate_evaluation(result)
            evaluations.append({"name": name, "plot": plot, "table": table, "note": result.note})
    return evaluations


def _crop_pairs(rows: Sequence[dict[str, Any]], job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Crop the centre of some photos, before and after, at full resolution; the input within the limits of the job."""
    max_bytes, allow = job["limits"]["max_bytes"], job["input"].get("allow", ())
    pairs = []
    for row in rows[:: max(1, len(rows) // _MAX_PAIRS)][:_MAX_PAIRS]:
        try:
            before = _crop_to_data_uri(read_photo(row["input_uri"], max_bytes, allow))
            after = _crop_to_data_uri(read_photo(row["output_uri"]))
        except (DeepotError, OSError):
            continue  # the photo no longer exists; its row is counted all the same
        pairs.append(row | {"before": before, "after": after})
    return pairs


def _crop_to_data_uri(data: bytes) -> str:
    """Return the centre of a photo as a data URI."""
    pixels = decode(data, max_pixels=10**12).pixels
    rows, columns = (
        slice(max(0, (side - _CROP_SIDE) // 2), (side + _CROP_SIDE) // 2) for side in (pixels.height, pixels.width)
    )
    return _to_data_uri(Image.fromarray(pixels.to_rgb8(rows, columns)))


def _to_data_uri(image: Image.Image) -> str:
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=92, subsampling=0)
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _plot_patch_nll(summary: ManifestSummary, natural_mean: float) -> str:
    """Plot the patch NLL before and after as SVG, with a line at the mean of natural photos."""
    rows = [row for row in summary.sampled_rows if row["patch_nll"] is not None]
    before, after = ([row[column] for row in rows] for column in ("patch_nll", "patch_nll_output"))
    from matplotlib.figure import Figure  # imported here as it takes half a second

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    if len(rows) <= 40:
        order = sorted(range(len(rows)), key=before.__getitem__)
        axes.hlines(range(len(rows)), [before[i] for i in order], [after[i] for i in order], color="0.7")
        axes.plot([before[i] for i in order], range(len(rows)), "o", label="before", color="#b5651d")
        axes.plot([after[i] for i in order], range(len(rows)), "o", label="after", color="#1d6fb5")
        names = [escape(rows[i]["file_name"])[-28:] for i in order]
        axes.set_yticks(range(len(rows)), names, fontsize=7, parse_math=False)
    else:
        axes.hist([before, after], bins=40, label=["before", "after"], color=["#b5651d", "#1d6fb5"])
        axes.set_ylabel("photos" if summary.sample_step == 1 else f"photos, 1 in {summary.sample_step}")
    axes.axvline(natural_mean, color="#2a8f4e", linestyle="--", label="natural photos, mean")
    axes.set_xlabel("negative log-likelihood of latent patches under natural photos (nats per dimension)")
    axes.legend(loc="lower right")
    return figure_to_svg(figure)
