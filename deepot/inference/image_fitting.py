"""One call that fits a map from images, arrays or files."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

from deepot.arguments import parse_choice
from deepot.autoencoder import LoadedAutoencoder, check_loaded
from deepot.errors import ArgumentError, MomentsError
from deepot.inference.calibration import photo_statistics, tone_sums
from deepot.inference.change_measurement import measure_change, measure_energies
from deepot.inference.progress import ProgressCallback, ProgressCounter
from deepot.inference.source_images import ImageSource, SourceImage, open_images
from deepot.transport import (
    CalibrationKind,
    ChangeModel,
    ChangeSums,
    MapKind,
    Moments,
    PatchStatistics,
    ToneCurve,
    TransportMap,
    fit_change,
    fit_energy_gains,
    fit_map,
    fit_tone,
    load_map_kind,
    merge_in_order,
)


def fit_images(
    autoencoder: LoadedAutoencoder,
    restored: Iterable[ImageSource],
    natural: Iterable[ImageSource],
    *,
    patch_size: int = 3,
    calibration: CalibrationKind | str = CalibrationKind.PAIRED,
    shrinkage_se: float | None = None,
    kind: str = "gaussian",
    tone: bool = True,
    companions: Iterable[ImageSource] | None = None,
    progress: ProgressCallback | None = None,
) -> TransportMap:
    """Fit a map from restored and natural images, preferably of the same scenes in the same order.

    Images are Pillow images, arrays (H, W, 3) or (H, W) of uint8 or uint16, or paths, in any iterable. Files are read
    one at a time, up to three times each.

    Args:
        autoencoder: The autoencoder.
        restored: The restored images.
        natural: The natural images.
        patch_size: Side p of the latent patches.
        calibration: Which sets these are: "paired", "self", or "unpaired" if they show different scenes.
        shrinkage_se: By how many standard errors the map is shrunk (`fit_map`); the calibration's default if None.
        kind: The kind of map: "gaussian", or "mixture:components=3" for smooth, medium and textured patches apart.
        tone: Whether to fit a tone curve (`fit_tone`) to images of the same scenes.
        companions: A companion for each restored image, of the same size: another version of the scene with less error,
            such as the restorer's input. The map then has the weight with which α > 1 mixes the two (`Enhancer`).
        progress: Is called after each step as `progress(done, total)`; a step reads or encodes an image or a pair.

    Raises:
        ArgumentError: An array has another shape or dtype, there is no such calibration, or there are companions of
            unpaired images, another number of them than of restored images, or one of another size.
        ArgumentTypeError: The autoencoder is not loaded, an argument is no list of images, or `progress` no function.
        MomentsError: A set has no images or too few patches, or sets of the same scenes differ in length.
        OSError: A file cannot be read, or is no image.
        SpecError: There is no such kind of map.
        UnsupportedImageError: An image has a mode that cannot be read as RGB.
        ValueError: The kind of map refuses the patch size or the calibration, or `shrinkage_se` is negative.

    Warns:
        UserWarning: Images of a pair differ in size. Such pairs count for the patches, whose statistics need no pairs,
            but neither for the tone curve nor for what pairs show of the change (`TransportMap.change`).

    Example:
        >>> import deepot
        >>> from PIL import Image
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype="float32")
        >>> natural = [Image.linear_gradient("L").resize((64, 64)).quantize(8).convert("L")]
        >>> restored = [image.resize((32, 32)).resize((64, 64)) for image in natural]
        >>> steps = []
        >>> transport = deepot.fit_images(autoencoder, restored, natural, patch_size=1,
        ...                               progress=lambda done, total: steps.append(f"{done}/{total}"))
        >>> transport.info.calibration, transport.info.source_images, transport.info.wasserstein2 > 0
        ('paired', 1, True)
        >>> steps
        ['1/4', '2/4', '3/4', '4/4']
    """
    check_loaded(autoencoder)
    calibration = parse_choice(CalibrationKind, calibration, "calibration")
    map_kind = load_map_kind(kind)
    map_kind.check_settings(patch_size, calibration)
    sets = _ImageSets.open(restored, natural, companions, calibration)
    has_tone = tone and calibration.has_same_scenes
    if calibration.has_same_scenes:
        sets.warn_of_pairs_of_different_size(stacklevel=3)
    steps = ProgressCounter(progress, sets.count_steps(has_tone))
    curve = _fit_tone_curve(sets, steps) if has_tone else None
    source, reference = (
        _collect(
            photo_statistics(autoencoder, image.read(), map_kind, patch_size, tone=side_tone)
            for image in steps.count(images)
        )
        for images, side_tone in ((sets.restored, curve), (sets.natural, None))
    )
    fitted = fit_map(
        source.moments,
        reference.moments,
        autoencoder=autoencoder.name,
        autoencoder_sha256=autoencoder.sha256,
        patch_size=patch_size,
        calibration=calibration,
        shrinkage_se=shrinkage_se,
        kind=kind,
        statistics=_statistics_of_kind(map_kind, source, reference),
        tone=curve,
    )
    if not calibration.has_same_scenes:
        return replace(fitted, change=_fit_gains_of_sets(autoencoder, fitted, sets, steps))
    sums = list(_measure_pairs(autoencoder, fitted, sets, steps))
    return replace(fitted, change=fit_change(sums, has_clean_originals=calibration.has_clean_originals))


@dataclass(frozen=True)
class _ImageSets:
    """The images that a map is fitted from."""

    calibration: CalibrationKind
    restored: list[SourceImage]
    natural: list[SourceImage]
    companions: list[SourceImage] | None

    @classmethod
    def open(
        cls,
        restored: Iterable[ImageSource],
        natural: Iterable[ImageSource],
        companions: Iterable[ImageSource] | None,
        calibration: CalibrationKind,
    ) -> "_ImageSets":
        """Check the images and read their sizes.

        Raises:
            ArgumentError, ArgumentTypeError, MomentsError, OSError: See `fit_images`.
        """
        if companions is not None and not calibration.has_clean_originals:
            raise ArgumentError(
                f"companions need the clean originals of the restored images, but calibration is '{calibration}': "
                "leave them out, or give pairs"
            )
        sets = cls(
            calibration,
            open_images(restored, "restored"),
            open_images(natural, "natural"),
            None if companions is None else open_images(companions, "companions"),
        )
        sets._check_lengths()
        sets._check_companions()
        return sets

    def _check_lengths(self) -> None:
        """Check that no set is empty, and that those of the same scenes are of the same length.

        Raises:
            MomentsError: A set has no images, or sets of the same scenes differ in length.
        """
        for name, images in (("restored", self.restored), ("natural", self.natural)):
            if not images:
                raise MomentsError(f"{name} has no images: a map needs at least one restored and one natural image")
        if self.calibration.has_same_scenes and len(self.restored) != len(self.natural):
            raise MomentsError(
                f"there are {len(self.restored)} restored and {len(self.natural)} natural images, but calibration is "
                f"'{self.calibration}', of the same scenes in the same order: give as many of both, or "
                "calibration='unpaired' for different scenes"
            )

    def _check_companions(self) -> None:
        """Check that each restored image has a companion of its size, if there are companions.

        Raises:
            ArgumentError: There is another number of companions than of restored images, or one of another size.
        """
        if self.companions is None:
            return
        if len(self.companions) != len(self.restored):
            raise ArgumentError(f"there are {len(self.companions)} companions of {len(self.restored)} restored images")
        for image, companion in zip(self.restored, self.companions, strict=True):
            if image.size != companion.size:
                raise ArgumentError(
                    f"{companion.name_with_size} is not of the size of {image.name_with_size}: give the companion in "
                    "the same size (`Image.resize`)"
                )

    def warn_of_pairs_of_different_size(self, stacklevel: int) -> None:
        """Warn if pairs are left out of the tone curve and the change because their images differ in size."""
        pairs = [pair for pair in self.pairs() if pair[0].size != pair[1].size]
        if pairs:
            names = " and ".join(image.name_with_size for image in pairs[0])
            warnings.warn(
                f"{len(pairs)} of {len(self.restored)} pairs differ in size, such as {names}: they are left out of the "
                "tone curve and of what pairs show of the change; crop or resize one to the size of the other",
                stacklevel=stacklevel,
            )

    def count_steps(self, has_tone: bool) -> int:
        """Return how many steps a fit reports."""
        n_both = len(self.restored) + len(self.natural)
        n_change = len(self.restored) if self.calibration.has_same_scenes else n_both
        return has_tone * len(self.restored) + n_both + n_change

    def pairs(self) -> Iterator[tuple[SourceImage, SourceImage]]:
        """Yield a restored image and the natural one of the same scene after the other."""
        return zip(self.restored, self.natural, strict=True)


@dataclass(frozen=True)
class _SetStatistics:
    """The moments of each image of a set, and what a kind of map is fitted from, of all of them."""

    moments: list[Moments]
    merged: PatchStatistics


def _fit_tone_curve(sets: _ImageSets, steps: ProgressCounter) -> ToneCurve:
    return fit_tone([tone_sums(before.read(), clean.read()) for before, clean in steps.count(sets.pairs())])


def _collect(photos: Iterable[PatchStatistics]) -> _SetStatistics:
    """Return the statistics of a set; holds those of few photos at a time."""
    blocks: list[Moments] = []

    def record_moments() -> Iterator[PatchStatistics]:
        for photo in photos:
            blocks.append(photo.moments())
            yield photo

    return _SetStatistics(blocks, merge_in_order(record_moments()))


def _statistics_of_kind(
    kind: MapKind[Any], source: _SetStatistics, reference: _SetStatistics
) -> tuple[PatchStatistics, PatchStatistics] | None:
    """Return what a kind of map is fitted from; None if the moments are all that it needs."""
    return None if kind.statistics is Moments else (source.merged, reference.merged)


def _measure_pairs(
    autoencoder: LoadedAutoencoder, fitted: TransportMap, sets: _ImageSets, steps: ProgressCounter
) -> Iterator[ChangeSums]:
    """Yield what each pair shows of the change that the map makes."""
    operator = fitted.operator_on(autoencoder.device)
    companions: Iterable[SourceImage | None] = repeat(None) if sets.companions is None else sets.companions
    for (before, clean), companion in zip(steps.count(sets.pairs()), companions, strict=False):
        other = None if companion is None else companion.read()
        yield measure_change(autoencoder, operator, before.read(), clean.read(), fitted.tone, other)


def _fit_gains_of_sets(
    autoencoder: LoadedAutoencoder, fitted: TransportMap, sets: _ImageSets, steps: ProgressCounter
) -> ChangeModel | None:
    operator = fitted.operator_on(autoencoder.device)
    source, reference = (
        merge_in_order(measure_energies(autoencoder, image.read(), transport) for image in steps.count(images))
        for images, transport in ((sets.restored, operator), (sets.natural, None))
    )
    return fit_energy_gains(source, reference)
