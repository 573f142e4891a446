"""The result of an evaluation, and the file that stores it."""

import json
import math
from dataclasses import asdict, dataclass

from deepot.evaluation import BootstrapEstimate, SweepPoint
from pipeline.storage import join_uri, read

_NEEDS = {
    "niqe": "it needs photos of at least two patches of 96 × 96 pixels, and 37 sharp patches in all clean ones",
    "repetition": "no restored photo has a flat area",
}
Estimates = dict[str, BootstrapEstimate]
"""The estimates of one point, by name; see `deepot.evaluation.estimate_metrics`."""


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    Attributes:
        folder: folder of its files: evaluation.json, photos.parquet and curve.png.
        photos: number of photos that were measured.
        unusable: photos that were left out, with the reasons.
        points: the estimates of each point.
    """

    folder: str
    photos: int
    unusable: dict[str, str]
    points: dict[SweepPoint, Estimates]

    @property
    def note(self) -> str:
        """What a reader of the numbers has to know."""
        text = (
            f"Distances of {self.photos} photos are biased upwards. The bias shrinks with the number of photos and is "
            "nearly the same for all variants: compare variants with each other, not with other sets of photos."
        )
        if self.unmeasured:
            text += f" Not measured: {', '.join(f'{name} ({_NEEDS[name]})' for name in self.unmeasured)}."
        return text

    @property
    def unmeasured(self) -> list[str]:
        """The measures that no point has a value of, because the photos are too small or too few."""
        found = {name: [each[name].value for each in self.points.values() if name in each] for name in _NEEDS}
        return [name for name, values in found.items() if values and not any(map(math.isfinite, values))]

    @property
    def json_values(self) -> dict[str, dict[str, float | None]]:
        """The value of every estimate, by point and name; None instead of NaN."""
        return {
            str(point): _nan_to_none({name: estimate.value for name, estimate in estimates.items()})
            for point, estimates in self.points.items()
        }

    def to_json(self, **header: object) -> bytes:
        """Return the content of evaluation.json, with `header` as its first keys."""
        points = [
            asdict(point) | {"estimates": {name: _nan_to_none(asdict(each)) for name, each in estimates.items()}}
            for point, estimates in self.points.items()
        ]
        record = header | {"photos": self.photos, "unusable": self.unusable, "note": self.note, "points": points}
        return json.dumps(record, indent=2, ensure_ascii=False).encode()


def read_evaluation(folder: str) -> EvaluationResult:
    """Read the result of an evaluation from its folder."""
    record = json.loads(read(join_uri(folder, "evaluation.json")))
    points = {
        SweepPoint(row["name"], row["alpha"]): {
            name: BootstrapEstimate(**{key: math.nan if value is None else value for key, value in estimate.items()})
            for name, estimate in row["estimates"].items()
        }
        for row in record["points"]
    }
    return EvaluationResult(folder, record["photos"], record["unusable"], points)


def _nan_to_none(values: dict[str, float]) -> dict[str, float | None]:
    """Replace NaN, which JSON does not have, and infinities."""
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
