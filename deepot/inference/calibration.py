"""Calibration from photos: statistics of their latent patches, and maps fitted from them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.change_measurement import measure_change, measure_energies
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import encode_tiled
from deepot.photo import Pixels
from deepot.restoration import Degradation, Restorer
from deepot.tiling import retry_with_smaller_tiles
from deepot.transport import (
    CalibrationKind,
    MapKind,
    Moments,
    PatchStatistics,
    ToneCurve,
    ToneSums,
    TransportMap,
    compute_patch_moments,
    fit_change,
    fit_energy_gains,
    fit_map,
    fit_tone,
    load_map_kind,
    merge_in_order,
)


def photo_moments(
    autoencoder: LoadedAutoencoder, pixels: Pixels, patch_size: int, tiles: TileOptions | None = None
) -> Moments:
    """Return the moments of the latent patches of one photo of any size.

    Example:
        >>> import deepot, torch
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> photo = deepot.Pixels.from_image(Image.linear_gradient("L"))  # 256 × 256 pixels
        >>> moments = deepot.photo_moments(autoencoder, photo, patch_size=3)
        >>> moments.count == (256 // autoencoder.factor - 2) ** 2, moments.dimension == autoencoder.channels * 3**2
        (True, True)
    """
    return compute_patch_moments(_encode_photo(autoencoder, pixels, tiles), patch_size)


def photo_statistics(
    autoencoder: LoadedAutoencoder,
    pixels: Pixels,
    kind: MapKind[Any],
    patch_size: int,
    tiles: TileOptions | None = None,
    tone: ToneCurve | None = None,
) -> PatchStatistics:
    """Return the statistics of the latent patches of one photo of any size that a kind of map is fitted from.

    Args:
        autoencoder: The autoencoder.
        pixels: The photo.
        kind: The kind of map.
        patch_size: Side p of the latent patches.
        tiles: How the photo is cut.
        tone: The tone curve that is applied before it is encoded.

    Example:
        >>> import deepot, torch
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> photo = deepot.Pixels.from_image(Image.linear_gradient("L"))
        >>> kind = deepot.load_map_kind("mixture:components=3")
        >>> statistics = deepot.photo_statistics(autoencoder, photo, kind, patch_size=3)
        >>> statistics.moments().count == deepot.photo_moments(autoencoder, photo, patch_size=3).count
        True
    """
    statistics: PatchStatistics = kind.measure(_encode_photo(autoencoder, pixels, tiles, tone), patch_size)
    return statistics


def degrade_photo(pixels: Pixels, degradation: Degradation, generator: np.random.Generator) -> Pixels:
    """Return the photo after a degradation, as 8-bit grey or sRGB."""
    return Pixels.from_image(degradation(Pixels(pixels.to_grey_or_rgb8()).to_image(), generator))


def paired_moments(
    autoencoder: LoadedAutoencoder,
    natural: Pixels,
    degradation: Degradation,
    restorer: Restorer,
    generator: np.random.Generator,
    patch_size: int,
    tiles: TileOptions | None = None,
) -> tuple[Moments, Moments]:
    """Return the moments of restore(degrade(photo)) and of the photo itself: the two sides of a paired calibration.

    Example:
        >>> import deepot, torch
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> photo = deepot.Pixels.from_image(Image.linear_gradient("L"))
        >>> blur, restorer = deepot.load_degradation("blur:sigma=2"), deepot.load_restorer("identity")
        >>> sides = deepot.paired_moments(autoencoder, photo, blur, restorer, np.random.default_rng(0), patch_size=1)
        >>> [side.count for side in sides]
        [1024, 1024]
    """
    restored = restorer(degrade_photo(natural, degradation, generator))
    return photo_moments(autoencoder, restored, patch_size, tiles), photo_moments(
        autoencoder, natural, patch_size, tiles
    )


def fit_images(
    autoencoder: LoadedAutoencoder,
    restored: Iterable[Image.Image],
    natural: Iterable[Image.Image],
    *,
    patch_size: int = 3,
    calibration: CalibrationKind = CalibrationKind.PAIRED,
    shrinkage_se: float | None = None,
    kind: str = "gaussian",
    tone: bool = True,
    companions: Iterable[Image.Image] | None = None,
) -> TransportMap:
    """Fit a map from Pillow images: restored ones, and natural ones, preferably of the same scenes in the same order.

    Args:
        autoencoder: The autoencoder.
        restored: The restored images.
        natural: The natural images.
        patch_size: Side p of the latent patches.
        calibration: Which sets these are; `CalibrationKind.UNPAIRED` if they show different scenes.
        shrinkage_se: By how many standard errors the map is shrunk (`fit_map`); the calibration's default if None.
        kind: The kind of map: "gaussian", or "mixture:components=3" for smooth, medium and textured patches apart.
        tone: Whether to fit a tone curve (`fit_tone`) to images of the same scenes, without pairs of different size.
        companions: A companion for each restored image, of the same size: another version of the scene with less error,
            such as the restorer's input. The map then has the weight with which α > 1 mixes the two (`Enhancer`).

    Raises:
        MomentsError: A set has too few patches or images, or paired sets differ in length.
        SpecError: There is no such kind of map.
        UnsupportedImageError: An image has a mode that cannot be read as RGB.
        ValueError: The kind of map refuses the patch size or the calibration, `shrinkage_se` is negative, or there are
            companions of unpaired images, another number of them than of restored images, or one of another size.

    Example:
        >>> import deepot, torch
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> natural = [Image.linear_gradient("L").resize((64, 64)).quantize(8).convert("L")]
        >>> restored = [image.resize((32, 32)).resize((64, 64)) for image in natural]
        >>> transport = deepot.fit_images(autoencoder, restored, natural, patch_size=1)
        >>> transport.info.calibration, transport.info.source_images, transport.info.wasserstein2 > 0
        ('paired', 1, True)
    """
    map_kind = load_map_kind(kind)
    map_kind.check_settings(patch_size, calibration)
    if companions is not None and not calibration.has_clean_originals:
        raise ValueError(f"companions need the clean originals of the restored images, but these are {calibration}")
    curve: ToneCurve | None = None
    if calibration.has_natural_photos or tone:
        restored, natural = list(restored), list(natural)
        companions = None if companions is None else list(companions)
        if companions is not None and len(companions) != len(restored):
            raise ValueError(f"there are {len(companions)} companions of {len(restored)} restored images")
    if tone and calibration.has_same_scenes:
        curve = fit_tone([tone_sums(*map(Pixels.from_image, pair)) for pair in zip(restored, natural, strict=False)])
    sides = [
        _collect(
            photo_statistics(autoencoder, Pixels.from_image(image), map_kind, patch_size, tone=side_tone)
            for image in images
        )
        for images, side_tone in ((restored, curve), (natural, None))
    ]
    (source, source_statistics), (reference, reference_statistics) = sides
    fitted = fit_map(
        source,
        reference,
        autoencoder=autoencoder.name,
        autoencoder_sha256=autoencoder.sha256,
        patch_size=patch_size,
        calibration=calibration,
        shrinkage_se=shrinkage_se,
        kind=kind,
        statistics=None if map_kind.statistics is Moments else (source_statistics, reference_statistics),
        tone=curve,
    )
    if not calibration.has_natural_photos:
        return fitted
    operator = fitted.operator_on(autoencoder.device)
    if not calibration.has_clean_originals:
        energies = [
            merge_in_order(measure_energies(autoencoder, Pixels.from_image(image), transport) for image in images)
            for images, transport in ((restored, operator), (natural, None))
        ]
        return replace(fitted, change=fit_energy_gains(*energies))
    pairs = ([Pixels.from_image(image) for image in pair] for pair in zip(restored, natural, strict=True))
    others = repeat(None) if companions is None else map(Pixels.from_image, companions)
    sums = [
        measure_change(autoencoder, operator, before, clean, curve, companion)
        for (before, clean), companion in zip(pairs, others, strict=False)
    ]
    return replace(fitted, change=fit_change(sums))


def tone_sums(restored: Pixels, natural: Pixels) -> ToneSums:
    """Return the sums of a tone curve over one pair; empty if their sizes differ."""
    if (restored.height, restored.width) != (natural.height, natural.width):
        return ToneSums.empty()
    return ToneSums.from_pair(restored.to_rgb(), natural.to_rgb())


def _collect(photos: Iterable[PatchStatistics]) -> tuple[list[Moments], PatchStatistics]:
    """Return the moments of each photo, and the merged statistics of all of them; holds few photos' at a time."""
    blocks: list[Moments] = []

    def record_moments() -> Iterator[PatchStatistics]:
        for photo in photos:
            blocks.append(photo.moments())
            yield photo

    merged = merge_in_order(record_moments())
    return blocks, merged


def _encode_photo(
    autoencoder: LoadedAutoencoder, pixels: Pixels, tiles: TileOptions | None, tone: ToneCurve | None = None
) -> Tensor:
    """Return the latents of a photo, (1, c, h, w), in smaller tiles if the accelerator runs out of memory."""
    options = tiles or TileOptions()

    def encode_with_size(size: int) -> Tensor:
        plan = replace(options, size=size).plan(autoencoder, pixels)
        return encode_tiled(autoencoder, pixels, plan, None if tone is None else tone.apply)

    return retry_with_smaller_tiles(encode_with_size, options.size, options.min_size(autoencoder))[0]
