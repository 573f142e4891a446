"""Curve: what an evaluation found, as it is stored, and the distortion–perception plot of it."""

import io
import json
import math
from dataclasses import asdict, dataclass

from deepot.evaluation import CLEAN_RECONSTRUCTION, RESTORED, RESTORED_RECONSTRUCTION, BootstrapEstimate, SweepPoint
from pipeline.storage import join_uri, read

PREFERRED_FEATURE_SET = (
    "map 3"  # what the plot shows; the deepest one where there are fewer, the latents where there is none
)
_MODE_COLORS = {"detail": "#1d8a4e", "residual": "#1d6fb5", "plain": "#b5651d"}
_CONTROL_MARKERS = {
    RESTORED: ("*", "x*, α = 1"),
    RESTORED_RECONSTRUCTION: ("s", RESTORED_RECONSTRUCTION),
    CLEAN_RECONSTRUCTION: ("D", CLEAN_RECONSTRUCTION),
}

Estimates = dict[str, BootstrapEstimate]


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        folder: of its files: evaluation.json, photos.parquet, curve.png.
        photos: how many were measured.
        unusable: those that were left out, with the reason.
        points: point → name → estimate; see `deepot.evaluation.metric_accumulator.estimate_metrics`.
    """

    folder: str
    photos: int
    unusable: dict[str, str]
    points: dict[SweepPoint, Estimates]

    @property
    def note(self) -> str:
        """What has to be said of the numbers."""
        return (
            f"Fréchet distances of {self.photos} photos are too large, by an amount that falls with their number and "
            "is much the same for every version: compare them with each other, not with those of other photos."
        )

    def to_json(self, **header: object) -> bytes:
        """evaluation.json, with more keys in front."""
        points = [
            asdict(point) | {"estimates": {name: nan_to_none(asdict(found)) for name, found in estimates.items()}}
            for point, estimates in self.points.items()
        ]
        record = header | {"photos": self.photos, "unusable": self.unusable, "note": self.note, "points": points}
        return json.dumps(record, indent=2, ensure_ascii=False).encode()


def read_evaluation(folder: str) -> EvaluationResult:
    """What `evaluate_job` left in a folder."""
    record = json.loads(read(join_uri(folder, "evaluation.json")))
    points = {
        SweepPoint(row["name"], row["alpha"]): {
            name: BootstrapEstimate(**{key: math.nan if value is None else value for key, value in found.items()})
            for name, found in row["estimates"].items()
        }
        for row in record["points"]
    }
    return EvaluationResult(folder, record["photos"], record["unusable"], points)


def nan_to_none(values: dict[str, float]) -> dict[str, float | None]:
    """For JSON, which knows no NaN."""
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def plot_curve(points: dict[SweepPoint, Estimates]) -> bytes:
    """A feature map's distance over PSNR as a PNG: a line for each mode, a mark for each control."""
    sets = [name for name in next(iter(points.values())) if name.startswith("map ")]
    name = PREFERRED_FEATURE_SET if PREFERRED_FEATURE_SET in sets else [*sets, "latents"][max(0, len(sets) - 1)]
    from matplotlib.figure import Figure  # here: it takes half a second

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for mode, color in _MODE_COLORS.items():
        line = sorted((point for point in points if point.name == mode), key=lambda point: point.alpha or 0.0)
        if not line:
            continue
        psnrs = [points[point]["psnr"].value for point in line]
        found = [points[point][name] for point in line]
        distances = [each.value for each in found]
        bars = [
            [max(0.0, each.value - each.low) for each in found],
            [max(0.0, each.high - each.value) for each in found],
        ]
        axes.errorbar(psnrs, distances, yerr=bars, marker=".", color=color, ecolor=f"{color}55", label=mode)
        for point, place in zip(line, zip(psnrs, distances, strict=True), strict=True):
            axes.annotate(f"{point.alpha:g}", place, textcoords="offset points", xytext=(4, 4), fontsize=8)
    for control, (mark, label) in _CONTROL_MARKERS.items():
        estimates = points[SweepPoint(control)]
        axes.plot([estimates["psnr"].value], [estimates[name].value], mark, color="#333", markersize=9, label=label)
    axes.set(
        xlabel="PSNR (dB), higher is nearer", ylabel=f"Fréchet distance of {name}, lower is more real", ylim=(0, None)
    )
    axes.grid(alpha=0.25)
    axes.legend()
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=120)
        return file.getvalue()
