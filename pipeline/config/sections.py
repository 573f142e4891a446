"""The sections of a job file as frozen models: one declaration for YAML keys, flags and documentation."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)

from deepot.errors import SpecError
from deepot.inference import DEFAULT_ALPHA, Consistency, Preserve, TransportMode
from deepot.transport import MAX_ALPHA, MAX_STRENGTH, MIN_ALPHA, MIN_STRENGTH
from pipeline import imageio
from pipeline.config.mark_source import MarkSource
from pipeline.config.output_layout import OutputLayout
from pipeline.config.uri_types import PhotosUri, Uri
from pipeline.storage import RequestPace

Auto = Literal["auto"]
Alpha = Annotated[float, Field(ge=MIN_ALPHA, le=MAX_ALPHA)]
AlphaGoal = Annotated[str, Field(pattern=r"^(min-error|per-photo|(per-photo:)?loss<=\d+(\.\d+)?dB)$")]
"""What decides α by the error that calibration pairs show, for all photos (`ErrorCurve`) or each (`StrengthRule`)."""


AcceptOne = BeforeValidator(
    lambda value: (value,) if isinstance(value, str) else value, json_schema_input_type=str | list[str]
)
"""Makes a tuple of a single text, so that a list of one may be written without brackets."""
AcceptOff = BeforeValidator(lambda value: "off" if value is False else value)
"""Takes False for `off`, as YAML 1.1 reads that word."""


class ConfigSection(BaseModel):
    """A section of a job: frozen, and closed to unknown keys.

    A section with a `shorthand` may be given as plain text, which becomes the value of that key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    shorthand: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _expand_shorthand(cls, content: Any) -> Any:  # noqa: ANN401 — whatever the job file holds
        return {cls.shorthand: content} if cls.shorthand and isinstance(content, str) else content

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:  # noqa: ANN401
        """Return the JSON Schema of the section, plain text included."""
        as_mapping = handler(schema)
        return {"anyOf": [{"type": "string"}, as_mapping]} if cls.shorthand else as_mapping


class Photos(ConfigSection):
    """A collection of photos; a plain URI stands for one without exclusions."""

    shorthand: ClassVar[str] = "images"

    images: PhotosUri = Field(
        description="folder, glob, file, .txt list, .tar, .zip or .parquet#column; a path or any fsspec URI; or an "
        "archive: bagit:URI, ocfl:URI or iiif:URL"
    )
    exclude: Annotated[tuple[str, ...], AcceptOne] = Field(
        (), description="patterns of file names below it to leave out; * matches / too, e.g. ['thumbs/*', '*_old.jpg']"
    )
    allow: Annotated[tuple[Uri, ...], AcceptOne] = Field(
        (),
        description="prefixes of URIs that a list or Parquet file on a server may name besides what lies below its own "
        "folder, e.g. [s3://archive/]; those on a disk may name anything",
    )
    inventory: Uri | None = Field(
        None,
        description="manifest.json of an S3 Inventory of the bucket, in Parquet or CSV, by which images are listed "
        "instead of by requests",
    )
    list_streams: int = Field(
        16, ge=1, le=64, description="requests at a time that list a folder or glob on S3; other storage gets one"
    )


class Calibration(ConfigSection):
    """The photos that the map is fitted from, and how its restored side is made."""

    reference: Photos | None = Field(None, description="natural photos, as the results should look")
    degradation: str | None = Field(
        None, description="what happened to the input's photos, e.g. noise:sigma=50 or jpeg:quality=20"
    )
    restorer: str | None = Field(None, description="what repaired them; default: the job's restorer")
    restored: Photos | None = Field(None, description="restored photos of other scenes than the reference's (unpaired)")
    limit: int = Field(2000, ge=1, description="at most this many photos of each side, chosen by a hash of their names")


class RefitPolicy(StrEnum):
    """When a map is fitted again."""

    NEVER = "never"
    DRIFT = "drift"
    ALWAYS = "always"


class Transport(ConfigSection):
    """The map and how it is applied."""

    alpha: Alpha | AlphaGoal = Field(
        DEFAULT_ALPHA,
        description="0: full transport; 1: the restored photo itself; or a goal, with clean originals in the "
        "calibration: the least error, or the strongest change that costs so much PSNR at most, in all or per photo",
        examples=["min-error", "loss<=0.3dB", "per-photo:loss<=0.5dB"],
    )
    strength: float | None = Field(
        None,
        ge=MIN_STRENGTH,
        le=MAX_STRENGTH,
        description="1 − alpha, instead of it: 1: full transport; 0: the restored photo",
    )
    mode: TransportMode = Field(
        TransportMode.AUTO,
        description="auto (what calibration pairs show; detail without them), detail, residual (colours may change "
        "too), or plain as published",
    )
    preserve: Annotated[tuple[Preserve, ...], AcceptOne] = Field(
        (), description="what the map must not change: [chroma], [mean] (no mean shift)"
    )
    patch_size: int = Field(3, ge=1, le=15, description="side of the latent patches, odd")
    mixture_components: int = Field(
        1, ge=1, le=5, description="Gaussians per side: 1 as published; 3: smooth, medium and textured patches apart"
    )
    shrinkage_se: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Auto = Field(
        "auto", description="standard errors by which the map is shrunk; auto: 0, or 1 for unpaired sets"
    )
    tone: Annotated[Literal["auto", "off"], AcceptOff] = Field(
        "auto",
        description="auto: restored photos get a tone curve fitted to the calibration pairs, if it clearly makes them "
        "more accurate; off: none, as published",
    )
    companion: Literal["none", "input"] = Field(
        "none",
        description="input: alpha from 1 to 2 mixes the restored photo with the restorer's input, up to the least "
        "error at 2, as calibration pairs show; none: alpha above 1 extrapolates",
    )
    consistency: Consistency = Field(
        Consistency.AUTO,
        description="auto: results of JPEG files that only compression has degraded contradict none of their "
        "coefficients, and results of photos that were only reduced reduce to them again; jpeg: nor do those of other "
        "JPEG files that are not restored here; off: nothing is checked",
    )
    leave_natural: Annotated[Literal["auto", "off"], AcceptOff] = Field(
        "auto",
        description="auto: photos that look natural already keep every sample, as far as calibration photos show the "
        "difference; off: all photos are transported",
    )
    refit: RefitPolicy = Field(
        RefitPolicy.NEVER,
        description="when new calibration photos give a new map: never, drift (beyond drift_limit), or always",
    )
    drift_limit: float = Field(
        0.1,
        gt=0,
        allow_inf_nan=False,
        description="how far the restored side may drift, relative to the distance that the map covers",
    )

    @property
    def map_kind(self) -> str:
        """The kind of map with all of its settings, as `deepot.transport.load_map_kind` reads it."""
        return "gaussian" if self.mixture_components == 1 else f"mixture:components={self.mixture_components}"

    @model_validator(mode="after")
    def _replace_strength(self) -> "Transport":
        """Replace a strength by its α, so that both make the same job."""
        if self.strength is not None:
            if "alpha" in self.model_fields_set:
                raise ValueError("it has alpha and strength, which is 1 − alpha: give one of the two")
            object.__setattr__(self, "alpha", round(1 - self.strength, 12))  # the section is frozen from here on
            object.__setattr__(self, "strength", None)
        return self

    @model_validator(mode="after")
    def _check_patch_size(self) -> "Transport":
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size is {self.patch_size}, it must be odd")
        return self


class Output(ConfigSection):
    """Where results go and in which format; a plain URI stands for the folder with the defaults."""

    shorthand: ClassVar[str] = "uri"

    uri: Uri = Field(
        description="folder of the results; {map} and {run} in it become the fingerprints of the map and of the run"
    )
    layout: OutputLayout = Field(
        OutputLayout.FILES, description="files (the input's folders and names), webdataset or parquet"
    )
    format: str = Field("same", description="same: the input's; or a format with options, e.g. jpeg:quality=90")
    metadata: imageio.MetadataPolicy = Field(
        imageio.MetadataPolicy.KEEP, description="keep, strip-gps (coordinates), strip (EXIF, XMP, IPTC, text)"
    )
    marks: Annotated[MarkSource, AcceptOff] = Field(
        MarkSource.NAME,
        description="results state in XMP and EXIF that deepot made them, and from what: a hash of the input and its "
        "name, its uri, or the hash alone; off: they state nothing",
    )
    scores: bool = Field(
        True,
        description="true: the manifest has quality scores, perceptual hashes and how far colours moved; false: it has "
        "none, which saves time where photos are small and the autoencoder is fast",
    )

    @field_validator("format")
    @classmethod
    def _check_format(cls, text: str) -> str:
        if text == "same":
            return text  # other formats import PyTorch
        try:
            imageio.parse_output_format(text)
        except SpecError as error:
            raise ValueError(str(error)) from error
        return text


class Tiles(ConfigSection):
    """How large photos are cut."""

    max_side: Annotated[int, Field(ge=64)] | Auto = Field(
        "auto", description="side of a square with as many pixels as a tile may have; auto: 1424"
    )
    overlap: Annotated[int, Field(ge=0)] | Auto = Field("auto", description="pixels; auto: what the autoencoder needs")


class Compute(ConfigSection):
    """What the work runs on; only dtype changes results."""

    dtype: Literal["auto", "float32", "bfloat16", "float16", "exact"] = Field(
        "auto", description="auto: the device's fastest; exact: the same bytes on every CPU, embedded autoencoder only"
    )
    pool: Literal["auto", "local", "ray"] = Field(
        "auto",
        description="local: worker processes on this machine; ray: on Ray; auto: local for up to 200 photos without "
        "--address",
    )
    workers: Annotated[int, Field(ge=1)] | Auto = Field("auto", description="worker processes; auto: as many as fit")
    min_workers: int = Field(1, ge=1, description="workers that are requested even where fewer fit")
    max_workers: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="workers that an autoscaling cluster grows to; auto: as many as fit"
    )
    gpus_per_worker: Annotated[float, Field(ge=0)] | Auto = Field("auto", description="auto: 1 where there are GPUs")
    threads: int = Field(1, ge=1, description="CPU threads per worker")
    images_per_shard: Annotated[int, Field(ge=1)] | Auto = Field("auto", description="images committed together")

    @model_validator(mode="after")
    def _check_workers(self) -> "Compute":
        if self.max_workers != "auto" and self.min_workers > self.max_workers:
            raise ValueError(f"min_workers is {self.min_workers}, more than max_workers, which is {self.max_workers}")
        if self.gpus_per_worker != "auto" and self.gpus_per_worker > 1 and self.gpus_per_worker % 1:
            raise ValueError(
                f"gpus_per_worker is {self.gpus_per_worker}: give a fraction of one GPU, or a whole number of GPUs"
            )
        return self


class Limits(ConfigSection):
    """What is skipped, and when a job counts as failed."""

    max_pixels: int = Field(400_000_000, ge=1, description="larger images are skipped")
    max_bytes: int = Field(4 * 2**30, ge=1, description="larger files are skipped")
    image_timeout_s: float = Field(
        1800.0,
        gt=0,
        allow_inf_nan=False,
        description="seconds for an image of up to 10 megapixels, in proportion for larger ones; then it fails",
    )
    server_requests_per_s: float = Field(
        5.0, gt=0, le=1000, description="requests a second that an IIIF server gets from each machine"
    )
    server_connections: int = Field(
        2, ge=1, le=64, description="requests at a time that an IIIF server gets from each machine"
    )
    max_error_rate: float = Field(
        0.01, ge=0, le=1, description="above this fraction of failed images the exit status is 1"
    )

    @property
    def request_pace(self) -> RequestPace:
        """What a server of somebody else gets."""
        return RequestPace(self.server_requests_per_s, self.server_connections)


class Evaluation(ConfigSection):
    """What `deepot evaluate` measures; it changes no photo of a run."""

    clean: PhotosUri = Field(description="folder, glob or file of clean originals")
    degradation: str | None = Field(
        None,
        description="applied to them before calibration.restorer; without it the input holds the same photos by name",
    )
    features: str | None = Field(None, description="module:factory of a feature network that returns a list of maps")
    metrics: tuple[str, ...] = Field((), description="module:factory of further metrics, (image, clean) → number")
    modes: tuple[TransportMode, ...] = Field(
        tuple(TransportMode),
        min_length=1,
        description="modes to sweep",
    )
    alphas: tuple[Alpha, ...] = Field(
        (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.25, 1.5), min_length=1, description="values of α to sweep"
    )
    crop: int = Field(1024, ge=16, description="side of the centre crop that is measured, in pixels")
    limit: int = Field(200, ge=1, description="at most this many photos, chosen by a hash of their names")
    replicates: int = Field(100, ge=0, description="bootstrap replicates for the intervals")
