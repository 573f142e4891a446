"""The job: frozen models of a job file, one declaration for YAML keys and command-line flags."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from deepot.errors import SpecError
from deepot.inference.modes import Preserve, TransportMode
from deepot.transport.mixture_fit import check_mixture_components
from deepot.transport.transport_map import CalibrationKind
from pipeline.config.output_layout import OutputLayout
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.output_formats import parse_output_format
from pipeline.redaction import has_credentials, redact
from pipeline.storage.objects import absolute_uri

Auto = Literal["auto"]
_SINGLE_SLASH_SCHEME = re.compile(r"(s3a?|gs|gcs|az|abfss?|hdfs):/(?!/)")
ENV_PREFIX = "env:"
"""What the name of an environment variable follows, where a webhook is given by one."""


class ConfigSection(BaseModel):
    """A part of a job: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(ConfigSection):
    """The photos to work on."""

    images: str = Field(
        description="folder, glob, file, .txt list, .tar, .zip or .parquet#column; a path or any fsspec URI"
    )


class Reference(ConfigSection):
    """Natural photos, as the results should look."""

    images: str = Field(description="folder, glob or file of natural photos")
    limit: int = Field(2000, ge=1, description="at most so many, chosen by a hash of their names")


class Source(ConfigSection):
    """How the restored side of the calibration comes about."""

    degrade: str | None = Field(None, description="what is done to photos, e.g. noise:sigma=50, jpeg:quality=20")
    restorer: str | None = Field(None, description="what mends them; the job's restorer if not given")
    images: str | None = Field(None, description="restored photos of other scenes than the reference's")
    limit: int = Field(2000, ge=1, description="at most so many")


class RefitPolicy(StrEnum):
    """When a map is fitted again."""

    NEVER = "never"
    DRIFT = "drift"
    ALWAYS = "always"


class Transport(ConfigSection):
    """The map and how it is used."""

    patch_size: int = Field(3, ge=1, le=15, description="side of the latent patches, odd")
    components: int = Field(
        1, ge=1, le=5, description="Gaussians a side: 1 as published; 3: smooth, middling and textured patches apart"
    )
    alpha: float = Field(0.0, ge=-4, le=4, description="0 full transport, 1 the restored photo itself")
    mode: TransportMode = Field(
        TransportMode.DETAIL, description="detail, residual (colours may move too), or plain as published"
    )
    keep: tuple[Preserve, ...] = Field((), description="what is left out of the map: [colour], [mean] (its mean shift)")
    doubt: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Auto = Field(
        "auto",
        description="how many standard errors are taken off the map; auto: 0, or 1 for unpaired sets",
    )

    refit: RefitPolicy = Field(
        RefitPolicy.NEVER,
        description="when new calibration photos give a new map: never, drift (beyond drift_limit), or always",
    )
    drift_limit: float = Field(
        0.1, gt=0, allow_inf_nan=False, description="how far the restored side may move, of the map's own W2 distance"
    )

    @field_validator("keep", mode="before")
    @classmethod
    def _wrap_in_tuple(cls, keep: object) -> object:
        return (keep,) if isinstance(keep, str) else keep

    @model_validator(mode="after")
    def _check_odd(self) -> "Transport":
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size is {self.patch_size}, it must be odd")
        return self


class Output(ConfigSection):
    """Where results go and as what."""

    uri: str = Field(description="folder of the results; {map} in it becomes the map's fingerprint")
    layout: OutputLayout = Field(
        OutputLayout.FILES, description="mirror (the input's folders and names), webdataset or parquet"
    )
    format: str = Field("same", description="same: the input's; or a format with options, e.g. jpeg:quality=90")
    metadata: MetadataPolicy = Field(
        MetadataPolicy.KEEP, description="keep, strip-gps (coordinates), strip (EXIF, XMP, IPTC, text)"
    )

    @field_validator("format")
    @classmethod
    def _check_format(cls, text: str) -> str:
        try:
            parse_output_format(text)
        except SpecError as error:
            raise ValueError(str(error)) from error
        return text


class TileSizes(ConfigSection):
    """How large photos are cut."""

    size: Annotated[int, Field(ge=64)] | Auto = Field(
        "auto", description="side of a square of so many pixels; auto: 1424"
    )
    overlap: Annotated[int, Field(ge=0)] | Auto = Field("auto", description="pixels; auto: what the autoencoder needs")


class Compute(ConfigSection):
    """What the work runs on; of these only dtype changes results."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="auto: the device's fastest")
    actors: Annotated[int, Field(ge=1)] | Auto = Field("auto", description="workers; auto: as many as fit")
    min_actors: int = Field(1, ge=1, description="workers that are wanted even where there is room for fewer")
    max_actors: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="workers that an autoscaling cluster grows for; auto: as many as it has room for"
    )
    gpus_per_actor: Annotated[float, Field(ge=0)] | Auto = Field("auto", description="auto: 1 where there are GPUs")
    threads: int = Field(1, ge=1, description="CPU threads a worker computes with")
    shard_images: Annotated[int, Field(ge=1)] | Auto = Field("auto", description="images committed together")

    @model_validator(mode="after")
    def _check_workers(self) -> "Compute":
        if self.max_actors != "auto" and self.min_actors > self.max_actors:
            raise ValueError(f"min_actors is {self.min_actors}, more than max_actors, which is {self.max_actors}")
        if self.gpus_per_actor != "auto" and self.gpus_per_actor > 1 and self.gpus_per_actor % 1:
            raise ValueError(f"gpus_per_actor is {self.gpus_per_actor}: a share of a GPU, or a whole number of them")
        return self


class Limits(ConfigSection):
    """What is refused, and what fails a job."""

    max_pixels: int = Field(400_000_000, ge=1, description="larger images are skipped")
    max_bytes: int = Field(4 * 2**30, ge=1, description="larger files are skipped")
    image_s: float = Field(
        1800.0,
        gt=0,
        allow_inf_nan=False,
        description="seconds for an image of up to 10 megapixels, larger ones in proportion; then it fails",
    )
    max_error_rate: float = Field(
        0.01, ge=0, le=1, description="above this share of failed images the exit status is 1"
    )


class Evaluation(ConfigSection):
    """What `deepot evaluate` measures; it changes no photo of a run."""

    clean: str = Field(description="folder, glob or file of clean originals")
    degrade: str | None = Field(
        None, description="what is done to them before source.restorer; without it the input holds them, by their names"
    )
    features: str | None = Field(None, description="module:factory of a feature network that gives a list of maps")
    metrics: tuple[str, ...] = Field((), description="more module:factory, of functions (image, clean) to a number")
    modes: tuple[TransportMode, ...] = Field(
        (TransportMode.DETAIL, TransportMode.RESIDUAL, TransportMode.PLAIN), min_length=1, description="modes to sweep"
    )
    alphas: tuple[Annotated[float, Field(ge=-4, le=4)], ...] = Field(
        (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.25, 1.5), min_length=1, description="values of α to sweep"
    )
    crop: int = Field(1024, ge=16, description="the middle square of so many pixels is measured")
    limit: int = Field(200, ge=1, description="at most so many photos, chosen by a hash of their names")
    replicates: int = Field(100, ge=0, description="bootstrap replicates for the intervals")


class Notifications(ConfigSection):
    """Who is told how a job ended."""

    webhook: str | None = Field(
        None, description="URL that the line of --json is posted to; env:NAME for a variable that holds it", repr=False
    )
    command: tuple[str, ...] = Field((), description="program and arguments; reads that line; needs --allow-code")

    @field_validator("webhook")
    @classmethod
    def _check_webhook(cls, text: str | None) -> str | None:
        if text is not None and not text.startswith(ENV_PREFIX) and not is_http_url(text):
            raise PydanticCustomError("webhook", "it is neither an http:// or https:// URL nor env:NAME")
        if text is not None and "@" in text.partition("://")[2].partition("/")[0]:
            raise PydanticCustomError("webhook", "names and passwords before the host are not sent")
        return text


class Job(ConfigSection):
    """A job file, resolved."""

    name: str = Field("deepot", description="for people")
    input: Input
    reference: Reference | None = None
    source: Source | None = None
    map: str | None = Field(None, description="a map that exists, instead of reference and source")
    restorer: str = Field("identity", description="applied to the input; identity: it is restored already")
    vae: str = Field("embedded", description="embedded, a hub name, a folder, or module:factory")
    transport: Transport = Transport()
    output: Output
    run: str | None = Field(None, description="folder of the run's own files; default: _deepot in the output folder")
    tiles: TileSizes = TileSizes()
    compute: Compute = Compute()
    limits: Limits = Limits()
    evaluate: Evaluation | None = None
    notify: Notifications | None = Field(
        None, exclude=True, description="not in run.json, as a webhook's URL is a secret"
    )

    @model_validator(mode="before")
    @classmethod
    def _check_uris(cls, content: object) -> object:
        for text in _iter_strings(_without_webhook(content)):
            if match := _SINGLE_SLASH_SCHEME.match(text):
                raise ValueError(
                    f"'{text}' would be a local folder '{match[0]}': write {match[1]}://{text[match.end() :]}"
                )
            if has_credentials(text):
                raise ValueError(
                    f"{redact(text)} holds credentials, which would end up in run.json, manifests and reports: "
                    "take them out, and give them in the environment (AWS_PROFILE, AWS_ACCESS_KEY_ID, …)"
                )
        return content

    @model_validator(mode="after")
    def _check_calibration(self) -> "Job":
        if self.map is None:
            check_mixture_components(self.transport.components, self.transport.patch_size, self.calibration_kind)
        if self.transport.refit is not RefitPolicy.NEVER and (self.map or "{map}" not in self.output.uri):
            raise ValueError(
                f"transport.refit is {self.transport.refit}, but "
                + ("the job names a map: leave out one of the two" if self.map else "results of several maps would mix")
                + ("" if self.map else ": put {map} into output.uri, so that every map has its own folder")
            )
        if self.source and self.source.images and self.source.degrade:
            raise ValueError("source has images and degrade; restored photos are not degraded: give one of the two")
        return self

    @property
    def calibration_kind(self) -> CalibrationKind:
        """Which way of calibrating the job gives.

        Raises:
            ValueError: none.
        """
        degrade = self.source.degrade if self.source else None
        images = self.source.images if self.source else None
        if self.reference and degrade:
            return CalibrationKind.PAIRED
        if self.reference and images:
            return CalibrationKind.UNPAIRED
        if degrade:
            return CalibrationKind.SELF
        raise ValueError(
            "there is nothing to calibrate from: give source.degrade (with or without reference.images), "
            "reference.images with source.images, or a map"
        )

    @property
    def calibration_restorer(self) -> str:
        """The restorer of the calibration."""
        return (self.source.restorer if self.source else None) or self.restorer

    def fingerprint(self, models: Mapping[str, str]) -> str:
        """SHA-256 over everything in the job that changes results, and the fingerprints of its models and map."""
        settings = self.model_dump(mode="json", exclude={"name", "run", "limits", "compute", "evaluate"})
        settings["max_pixels"], settings["dtype"] = self.limits.max_pixels, self.compute.dtype
        settings["max_bytes"] = self.limits.max_bytes
        for policy in ("refit", "drift_limit"):  # of a result its row says by which map it was made
            del settings["transport"][policy]
        return hashlib.sha256(json.dumps([settings, dict(models)], sort_keys=True).encode()).hexdigest()


def is_http_url(url: str) -> bool:
    """Whether a text is an http:// or https:// URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _without_webhook(content: object) -> object:
    """A job file without the one secret that it may hold: it is kept and shown nowhere."""
    if isinstance(content, dict) and isinstance(notify := content.get("notify"), dict):
        return content | {"notify": {key: value for key, value in notify.items() if key != "webhook"}}
    return content


def _iter_strings(content: object) -> Iterator[str]:
    """All texts in a job file, each once; what aliases make endless is walked once too."""
    stack, seen = [content], set[int]()
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            stack += value.values() if isinstance(value, dict) else value


def output_folder(job: Job, map_sha256: str) -> str:
    """Where the results of a job with this map go."""
    return absolute_uri(job.output.uri).replace("{map}", map_sha256[:16])


def fixed_folder(uri: str) -> str:
    """The folder that an output URI names, up to a `{map}` in it."""
    head, found, _ = absolute_uri(uri).partition("{map}")
    return head.rpartition("/")[0] if found else head.rstrip("/")
