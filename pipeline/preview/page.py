"""The page of a preview: its captions, the numbers of each photo, and the commands that come next."""

import base64
import math
from collections.abc import Callable, Sequence

from deepot.evaluation import SweepPoint
from deepot.transport import parse_photo_limit
from pipeline.preview.preview import PreviewResult
from pipeline.preview.rendering import RenderedPhoto, RenderedVersion
from pipeline.reporting import (
    PreviewPage,
    PreviewPhoto,
    PreviewSetting,
    PreviewVersion,
    plot_error_curve,
    render_preview,
)

RESTORED_LABEL = "restored (α = 1)"
_UNTOUCHED = "; it looks natural already, so a run leaves it as it is (transport.leave_natural)"


def render_preview_page(preview: PreviewResult, command_for: Callable[[float], str]) -> str:
    """Return a preview as an HTML page without external files.

    Args:
        preview: the preview.
        command_for: gives the command that processes all photos with an α.
    """
    mode = preview.job.transport.mode.value
    labels = [RESTORED_LABEL, *(_label(point, mode) for point in preview.points)]
    alphas = [1.0, *(point.alpha or 0.0 for point in preview.points)]
    on_slider = [0, *(number for number, point in enumerate(preview.points, 1) if point.name == mode)]
    on_slider.sort(key=lambda number: -alphas[number])
    chosen = preview.chosen + 1
    return render_preview(
        PreviewPage(
            title=f"{preview.job.name}: preview",
            photos=tuple(_page_photo(photo, labels, chosen) for photo in preview.photos),
            settings=tuple(PreviewSetting(labels[each], command_for(alphas[each])) for each in on_slider),
            default=on_slider.index(chosen),
            notes=tuple(_notes(preview)),
            headings=("photo", *labels[1:]),
            rows=tuple(
                (photo.entry.key, *(_describe_change(version) for version in photo.versions[1:]))
                for photo in preview.photos
            ),
            error_plot=plot_error_curve(preview.transport, mode),
        )
    )


def _label(point: SweepPoint, mode: str) -> str:
    alpha = f"α = {point.alpha:g}"
    return alpha if point.name == mode else f"{point.name}, {alpha}"


def _page_photo(photo: RenderedPhoto, labels: Sequence[str], chosen: int) -> PreviewPhoto:
    width, height = photo.full_size
    part = "" if photo.size == photo.full_size else f"; shown: the middle, {photo.size[0]} × {photo.size[1]}"
    return PreviewPhoto(
        name=photo.entry.key,
        caption=f"{width} × {height} pixels{part}" + (_UNTOUCHED if photo.untouched else ""),
        width=photo.size[0],
        height=photo.size[1],
        versions=tuple(
            PreviewVersion(label, "data:image/webp;base64," + base64.b64encode(version.webp).decode())
            for label, version in zip(labels, photo.versions, strict=True)
        ),
        before=0,
        after=chosen,
        marks=photo.marks,
    )


def _describe_change(version: RenderedVersion) -> str:
    if not math.isfinite(version.psnr):
        return "unchanged"
    return f"{version.mean_change:.2f} levels, {version.psnr:.1f} dB"


def _notes(preview: PreviewResult) -> list[str]:
    """Return what a reader must know, as sentences."""
    info, transport = preview.transport.info, preview.transport
    notes = [f"The map was fitted from {info.calibration_summary} ({info.calibration} calibration)."]
    if preview.calibration_photos is not None:
        notes.append(
            f"The job's calibration has more photos. For this preview only {preview.calibration_photos} of each side "
            "were used, so the results of a run will differ a little."
        )
    if transport.tone is not None and transport.tone.share:
        notes.append(f"Tone curve: {transport.tone.summary}.")
    if transport.change is not None and (curve := transport.change.curve_summary(preview.job.transport.mode.value)):
        notes.append(f"Compared with restored photos, measured against their clean originals: {curve}.")
    if parse_photo_limit(preview.job.transport.alpha) is not None:
        notes.append(
            f"The job chooses α for each photo ({preview.job.transport.alpha}); the page shows the α that keeps this "
            "limit for all photos alike."
        )
    notes.append(
        "The table has the mean change of each photo, in levels of 255, and the PSNR between it and the restored photo."
    )
    notes += [f"{uri} cannot be shown: {reason}." for uri, reason in preview.unusable]
    return notes
