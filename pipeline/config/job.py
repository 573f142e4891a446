"""The job: a resolved job file, its checks and the fingerprints that identify its statistics and its results."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from deepot.inference import Consistency
from deepot.transport import CalibrationKind, parse_photo_limit
from pipeline.config.mark_source import MarkSource
from pipeline.config.notifications import Notifications
from pipeline.config.output_layout import fixed_folder
from pipeline.config.sections import (
    Calibration,
    Compute,
    ConfigSection,
    Evaluation,
    Limits,
    Output,
    Photos,
    RefitPolicy,
    Tiles,
    Transport,
)
from pipeline.config.uri_checks import check_texts, check_uris
from pipeline.config.uri_types import Uri

FINGERPRINT_LENGTH = 16
"""Hexadecimal digits of a fingerprint that name a folder."""
_REDUCTION = re.compile(r"\s*downscale:\s*factor\s*=\s*(\d+)(?:\.0*)?\s*")
_COMPRESSIONS = frozenset({"jpeg"})  # degradations after which a file holds the photo that was degraded
_PROGRAM = re.compile(r"external:(?:\w+=[^:\s]*:)?\s*(\S+)")
_SELF_CALIBRATION_VERSION = 4  # raised whenever photos are prepared for it, or its map is fitted, in another way
_LISTING_KEYS = {"allow", "inventory", "list_streams"}
_CALIBRATION_LISTING_KEYS = {"reference": _LISTING_KEYS, "restored": _LISTING_KEYS}
"""What may be named, and how it is listed, decide nothing about a photo that is read: no part of a fingerprint."""


class Job(ConfigSection):
    """A job file, resolved: defaults filled in, local paths absolute."""

    name: str = Field("deepot", description="a name for people")
    input: Photos = Field(description="the photos to work on")
    output: Output = Field(description="where results go")
    calibration: Calibration | None = None
    map: Uri | None = Field(None, description="an existing map, instead of a calibration")
    autoencoder: str = Field("embedded", description="embedded, a hub name, a folder, or module:factory")
    restorer: str = Field("identity", description="applied to the input; identity: it is restored already")
    transport: Transport = Transport()
    run: Uri | None = Field(None, description="folder of the runs' own files; default: _deepot in the output folder")
    tiles: Tiles = Tiles()
    compute: Compute = Compute()
    limits: Limits = Limits()
    evaluate: Evaluation | None = None
    notify: Notifications | None = Field(
        None, exclude=True, description="not stored in run.json, as a webhook's URL is a secret"
    )

    @model_validator(mode="before")
    @classmethod
    def _check_all_texts(cls, content: object) -> object:
        check_texts(content)
        check_uris(content)
        return content

    @model_validator(mode="after")
    def _check_calibration(self) -> "Job":
        if self.map is None:
            kind = self.calibration_kind  # raises if there is nothing to calibrate from
            if self.transport.mixture_components > 1:  # one Gaussian takes all settings
                from deepot.transport import load_map_kind  # imports torch

                load_map_kind(self.transport.map_kind).check_settings(self.transport.patch_size, kind)
        if self.transport.refit is not RefitPolicy.NEVER and (self.map or "{map}" not in self.output.uri):
            reason = (
                "the job names a map: leave out one of the two"
                if self.map
                else "results of several maps would mix: put {map} into output.uri, so that every map has a folder"
            )
            raise ValueError(f"transport.refit is {self.transport.refit}, but {reason}")
        alpha = self.transport.alpha
        if isinstance(alpha, str) and self.map is None and not self.calibration_kind.has_clean_originals:
            raise ValueError(
                f"transport.alpha is {alpha}, which needs the error that clean originals show, but the calibration is "
                f"{self.calibration_kind}: give a number, or calibration.reference with calibration.degradation"
            )
        if self.calibration and self.calibration.restored and self.calibration.degradation:
            raise ValueError(
                "calibration has restored and degradation, but restored photos are not degraded: give one of the two"
            )
        return self

    @model_validator(mode="after")
    def _check_companion(self) -> "Job":
        if not self.has_companion:
            return self
        restorers = (
            {"restorer": self.restorer}
            if self.map
            else {"restorer": self.restorer, "calibration.restorer": self.calibration_restorer}
        )
        for key, text in restorers.items():
            if _is_identity(text):
                raise ValueError(
                    f"transport.companion is input, but {key} is identity, whose input is the restored photo itself: "
                    "name the restorer and give it its own input, or leave out transport.companion"
                )
        if self.map is None and not self.calibration_kind.has_clean_originals:
            raise ValueError(
                "transport.companion is input, which needs the error that clean originals show, but the calibration is "
                f"{self.calibration_kind}: give calibration.reference with calibration.degradation"
            )
        return self

    @model_validator(mode="after")
    def _check_consistency(self) -> "Job":
        if self.transport.consistency is Consistency.JPEG and not _is_identity(self.restorer):
            raise ValueError(
                f"transport.consistency is jpeg, but restorer is {self.restorer}, so that the restored photo is not "
                "what the JPEG file holds: set it to auto, or leave out the restorer"
            )
        return self

    @model_validator(mode="after")
    def _check_exact(self) -> "Job":
        if self.compute.dtype != "exact":
            return self
        if self.autoencoder != "embedded":
            raise ValueError(
                f"compute.dtype is exact, which only the embedded autoencoder has, but autoencoder is "
                f"{self.autoencoder}: leave out one of the two"
            )
        if self.map is None and self.transport.mixture_components > 1:
            raise ValueError(
                f"compute.dtype is exact, but transport.mixture_components is {self.transport.mixture_components}, and "
                "only the map of a single Gaussian can be applied exactly: leave out one of the two"
            )
        if self.limits_photos:
            raise ValueError(
                f"compute.dtype is exact, but transport.alpha is {self.transport.alpha}, chosen by scores whose last "
                "digits depend on the processor: give a number, or a goal for all photos"
            )
        return self

    @property
    def limits_by_coefficients(self) -> bool:
        """Whether the coefficients of a JPEG file limit its result.

        They do where the restored photo is what the file holds. Unless the job demands it, compression must be all that
        happened to the photos, as otherwise the coefficients are those of a photo that was degraded before.
        """
        consistency, calibration = self.transport.consistency, self.calibration or Calibration()
        if consistency is not Consistency.AUTO:
            return consistency is Consistency.JPEG
        restorers = self.restorer, self.calibration_restorer
        degradation = (calibration.degradation or "").partition(":")[0].strip()
        only_compression = degradation in _COMPRESSIONS and "+" not in (calibration.degradation or "")
        return only_compression and all(map(_is_identity, restorers))

    @property
    def reduction_factor(self) -> int | None:
        """How many times the photos were reduced before a restorer enlarged them; None if that is not all of it."""
        found = _REDUCTION.fullmatch((self.calibration or Calibration()).degradation or "")
        return int(found[1]) if found and self.transport.consistency is Consistency.AUTO else None

    @property
    def has_companion(self) -> bool:
        """Whether restored photos have the restorer's input as companion."""
        return self.transport.companion == "input"

    @property
    def calibration_kind(self) -> CalibrationKind:
        """Which photos the two sides of the calibration are made from.

        Raises:
            ValueError: it names nothing to calibrate from.
        """
        given = self.calibration or Calibration()
        if given.reference and given.degradation:
            return CalibrationKind.PAIRED
        if given.reference and given.restored:
            return CalibrationKind.UNPAIRED
        if given.degradation:
            return CalibrationKind.SELF
        raise ValueError(
            "there is nothing to calibrate from: give calibration.degradation (with or without "
            "calibration.reference), calibration.reference with calibration.restored, or a map"
        )

    @property
    def calibration_restorer(self) -> str:
        """The restorer of the calibration; the job's unless the calibration names its own."""
        return (self.calibration.restorer if self.calibration else None) or self.restorer

    @property
    def stated_restorer(self) -> str:
        """The restorer as results state it: without the folders of a file unless they state where photos come from."""
        name, colon, options = self.restorer.partition(":")
        if program := _PROGRAM.match(self.restorer):
            return f"{name}:{program[1].rpartition('/')[2]}"
        return self.restorer if self.output.marks is MarkSource.URI else name + colon + options.rpartition("/")[2]

    @property
    def restores(self) -> bool:
        """Whether the job applies a restorer to its input; otherwise the input is restored already."""
        return not _is_identity(self.restorer)

    @property
    def fits_tone(self) -> bool:
        """Whether a tone curve is fitted: only where both sides of the calibration show the same scenes."""
        return self.map is None and self.transport.tone == "auto" and self.calibration_kind.has_same_scenes

    @property
    def limits_photos(self) -> bool:
        """Whether α is chosen for each photo by what it may lose."""
        return parse_photo_limit(self.transport.alpha) is not None

    def without_photo_limit(self) -> "Job":
        """Return the job with the default α if it is chosen for each photo, which few pairs cannot decide."""
        if not self.limits_photos:
            return self
        return self.model_copy(
            update={"transport": self.transport.model_copy(update={"alpha": Transport.model_fields["alpha"].default})}
        )

    @property
    def calibration_limit(self) -> int:
        """The maximum number of photos on each side of the calibration."""
        return (self.calibration or Calibration()).limit

    @property
    def output_root(self) -> str:
        """The output folder, up to the first placeholder in its URI."""
        return fixed_folder(self.output.uri)

    def calibration_fingerprint(self, models: Mapping[str, str]) -> str:
        """Return the SHA-256 of everything that decides the statistics and the map.

        Args:
            models: fingerprints of the models, by name.

        Raises:
            ValueError: there is nothing to calibrate from.
        """
        settings: dict[str, Any] = {
            "calibration": (self.calibration or Calibration()).model_dump(
                mode="json", exclude=_CALIBRATION_LISTING_KEYS
            )
            | {"restorer": self.calibration_restorer},
            "patch_size": self.transport.patch_size,
            "map_kind": self.transport.map_kind,
            "shrinkage_se": self.transport.shrinkage_se,
            "tone": self.fits_tone,
            "companion": self.transport.companion,
            "tiles": self.tiles.model_dump(mode="json"),
        }
        if self.limits_photos:
            settings |= {"photo_curves": True}
        if self.calibration_kind is CalibrationKind.SELF:
            settings |= {"input": self.input.model_dump(mode="json", exclude=_LISTING_KEYS), "restorer": self.restorer}
            settings |= {"version": _SELF_CALIBRATION_VERSION}
        else:
            models = {name: sha256 for name, sha256 in models.items() if name != "restorer"}
        return _hash_settings(settings | self._decisive_limits(), models)

    def run_fingerprint(self, models: Mapping[str, str]) -> str:
        """Return the SHA-256 of everything that decides a result.

        Args:
            models: fingerprints of the models, and of the map that the job names, by name.
        """
        without = dict.fromkeys(("name", "run", "limits", "compute", "evaluate"), True)
        settings = self.model_dump(
            mode="json", exclude=without | {"input": _LISTING_KEYS, "calibration": _CALIBRATION_LISTING_KEYS}
        )
        for policy in ("refit", "drift_limit"):  # every manifest row names its map
            del settings["transport"][policy]
        if self.output.scores:  # as before there was a choice; without them the manifest is another one
            del settings["output"]["scores"]
        return _hash_settings(settings | self._decisive_limits(), models)

    def _decisive_limits(self) -> dict[str, Any]:
        """The limits that decide which photos take part, and the dtype of the computation."""
        return {
            "max_pixels": self.limits.max_pixels,
            "max_bytes": self.limits.max_bytes,
            "dtype": self.compute.dtype,
        }


def _is_identity(restorer: str) -> bool:
    return restorer.partition(":")[0].strip() == "identity"


def _hash_settings(settings: Mapping[str, Any], models: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([settings, dict(models)], sort_keys=True).encode()).hexdigest()
