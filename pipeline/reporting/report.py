"""The report of a run: one HTML page without external files."""

import base64
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from markupsafe import Markup

from deepot.transport import PatchNll, parse_photo_limit
from pipeline.calibration import calibration_of_run, load_map_of_run, read_drift_records
from pipeline.errors import advice_for
from pipeline.reporting.defaults import DEFAULT_REPORT_PHOTOS
from pipeline.reporting.error_curve import plot_error_curve
from pipeline.reporting.evaluation_result import read_evaluation
from pipeline.reporting.evaluation_table import tabulate_evaluation
from pipeline.reporting.manifest_summary import (
    MAX_LISTED,
    SUMMARY_COLUMNS,
    ManifestSummary,
    summarize_manifest,
)
from pipeline.reporting.patch_nll_plot import plot_patch_nll
from pipeline.reporting.report_photos import load_report_photos
from pipeline.reporting.templates import render_page
from pipeline.runs import RunPaths, iter_manifest_tables, iter_missing_inputs, require_run
from pipeline.sources import common_permissions
from pipeline.storage import exists, list_names, read, write


def write_report(run: RunPaths, max_photos: int = DEFAULT_REPORT_PHOTOS) -> str:
    """Write the report of a run from its commits; only users who may read every photo that it shows can read the page.

    Args:
        run: the run.
        max_photos: number of photos that the report shows.

    Returns:
        The URI of the report.

    Raises:
        RunError: the folder has no run, or the run has no map yet.
    """
    require_run(run)
    run_json = json.loads(read(run.run_json))
    transport = load_map_of_run(run)
    summary = summarize_manifest(iter_manifest_tables(run, SUMMARY_COLUMNS))
    photos = load_report_photos(summary.sampled_rows, run_json["job"], max_photos)
    missing = iter_missing_inputs(run)
    first_missing = list(islice(missing, MAX_LISTED))
    mode = run_json["job"]["transport"]["mode"]
    goal = run_json["job"]["transport"]["alpha"]
    alpha, limit = transport.resolve_alpha(goal, mode), parse_photo_limit(goal)
    has_companion = transport.change is not None and transport.change.companion is not None
    page = render_page(
        "report.html.j2",
        run=run_json,
        map=transport.info,
        alpha_label=f"{alpha:g}" if limit is None else "by photo",
        alpha_text=f"α = {alpha:g}" if limit is None else "α chosen by photo",
        alpha_description=_describe_alpha(alpha, has_companion) if limit is None else _describe_limit(limit),
        tone=transport.tone.summary if transport.tone else None,
        change=transport.change,
        natural_tests=transport.natural_tests,
        error_plot=Markup(plot_error_curve(transport, mode)),
        map_sha256=transport.sha256,
        counts=_count_images(summary),
        failures=summary.failures,
        codes=[(count, code, advice_for(code)) for code, count in summary.error_code_counts.most_common()],
        phases=summary.phase_seconds,
        photos=[photo.preview for photo in photos],
        photo_rows=[photo.row for photo in photos],
        plot=Markup(plot_patch_nll(summary, PatchNll(transport.reference, transport.info.patch_size).expected)),
        has_restorer=run_json["job"]["restorer"] != "identity",
        evaluations=_load_evaluations(run),
        drifts=_load_drift_records(run, run_json),
        missing=first_missing,
        missing_count=len(first_missing) + sum(1 for _ in missing),
    )
    shown = [photo.row[column] for photo in photos for column in ("input_uri", "output_uri")]
    write(run.report, page.encode(), common_permissions(shown))
    return run.report


def _count_images(summary: ManifestSummary) -> dict[str, int]:
    """Return the numbers of the page by name; some only where there are such photos."""
    counts = summary.status_counts.copy()
    total, counts["untouched"] = counts.total(), summary.untouched
    names = ["ok", *(name for name in ("untouched", "rejected") if counts[name]), "skipped", "failed"]
    return {"images": total} | {name: counts[name] for name in names}


def _describe_alpha(alpha: float, has_companion: bool) -> str:
    """Return a sentence about what an α does to photos."""
    scale = "α = 1 leaves restored photos as they are, α = 0 makes the full change."
    if alpha > 1 and has_companion:
        return f"With α = {alpha:g}, restored photos were mixed with the restorer's input. {scale}"
    return f"With α = {alpha:g}, {1 - alpha:.0%} of the full change towards natural photos was made. {scale}"


def _describe_limit(loss_db: float) -> str:
    """Return a sentence about what a limit for each photo does."""
    return (
        f"α was chosen for each photo so that about one in twenty at most loses more than {loss_db:g} dB of PSNR "
        "compared with the restored photo; it is given below the photo and in its row."
    )


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
