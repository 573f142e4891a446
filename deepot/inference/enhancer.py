"""The enhancer: transports the latents of restored photos and adds the change to their own samples."""

import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from deepot.arguments import describe_value, parse_choice
from deepot.autoencoder import LoadedAutoencoder, check_loaded
from deepot.errors import ArgumentTypeError
from deepot.inference.cell_mean_constraint import CellMeanConstraint
from deepot.inference.change_size import ChangeSize
from deepot.inference.companion import check_companion_size, mix_companion
from deepot.inference.composition import Composition
from deepot.inference.consistency import Constraint, ConstraintFactory
from deepot.inference.enhancement import Enhancement
from deepot.inference.host_copy import PhaseTimes
from deepot.inference.modes import DEFAULT_ALPHA, Preserve, TransportMode
from deepot.inference.photo_samples import PhotoSamples, take_samples
from deepot.inference.photo_scores import score_photo
from deepot.inference.queued_photo import EnhanceStats, FiniteCheck, QueuedPhoto, mean_square_difference
from deepot.inference.source_images import ImageSource, SourceImage
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import encode_unchecked, make_tile_decoder, read_cells
from deepot.photo import ConstantAreas, Pixels
from deepot.tiling import Span, StitchedBlock, TilePlan
from deepot.transport import LatentOperator, PatchNll, TransportMap, make_exact_operator


class Enhancer:
    """Transports restored images towards natural ones, tile by tile, at any size.

    The output is x* + (1 − α) times a change: points between full realism, α = 0, and the restored image, α = 1, trade
    distortion for perception (Freirich et al. 2021). α = 1 returns the image bit for bit; values outside [0, 1]
    extrapolate. If the map was fitted with companions, values above 1 mix the image with its companion instead, up to
    the least error at α = 2.

    Example:
        >>> import deepot, torch
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> natural = Image.linear_gradient("L").resize((64, 64)).quantize(8).convert("L")
        >>> restored = natural.resize((32, 32)).resize((64, 64))
        >>> transport = deepot.fit_images(autoencoder, [restored], [natural], patch_size=1)
        >>> enhanced = deepot.Enhancer(autoencoder, transport)(restored)
        >>> enhanced.size, enhanced.mode, enhanced == restored
        ((64, 64), 'L', False)
        >>> deepot.Enhancer(autoencoder, transport, alpha=1)(restored) == restored
        True
    """

    def __init__(
        self,
        autoencoder: LoadedAutoencoder,
        transport_map: TransportMap,
        *,
        alpha: float | str = DEFAULT_ALPHA,
        mode: TransportMode | str = TransportMode.AUTO,
        preserve: Collection[Preserve | str] | str = (),
        tiles: TileOptions | None = None,
    ) -> None:
        """Combine an autoencoder with a map.

        Args:
            autoencoder: The autoencoder the map was fitted with.
            transport_map: The map.
            alpha: α, or a goal that decides it: "min-error", a limit such as "loss<=0.3dB" (`ErrorCurve`), or one for
                each image such as "per-photo:loss<=0.3dB" (`StrengthRule`).
            mode: How the output is composed.
            preserve: What the map must not change, e.g. ("chroma",).
            tiles: How large photos are cut; the defaults of `TileOptions` if None.

        Raises:
            ArgumentError: α is neither a number from −4 to 4 nor a goal, there is no such mode, or nothing of that name
                to preserve.
            ArgumentTypeError: The autoencoder is not loaded, or the map is no map.
            MapError: The map was fitted with another autoencoder, or without as many pairs as a goal needs, or is a
                mixture, and the autoencoder is exact.
        """
        check_loaded(autoencoder)
        if not isinstance(transport_map, TransportMap):
            raise ArgumentTypeError(
                f"transport_map is {describe_value(transport_map)}: give what deepot.fit_images or "
                "deepot.TransportMap.load returned"
            )
        transport_map.check_autoencoder(autoencoder)
        mode = parse_choice(TransportMode, mode, "mode")
        self.autoencoder, self.transport_map, self.tiles = autoencoder, transport_map, tiles or TileOptions()
        self.alpha = transport_map.resolve_alpha(alpha, mode)
        self.strength_rule = transport_map.strength_rule(alpha, mode)
        self.companion_weight = transport_map.companion_weight
        names = [preserve] if isinstance(preserve, str) else preserve
        preserved = frozenset(parse_choice(Preserve, name, "preserve") for name in names)
        tone = None if transport_map.tone is None else transport_map.tone.on_device(autoencoder.device)
        self.composition = Composition(mode, autoencoder.factor, tone, preserved, transport_map.gains)
        keep_mean = Preserve.MEAN in preserved
        self._operator: LatentOperator = (
            make_exact_operator(transport_map.parameters, transport_map.info, keep_mean=keep_mean)
            if autoencoder.is_exact
            else transport_map.operator_on(autoencoder.device, keep_mean=keep_mean)
        )
        self._patch_nll = PatchNll(transport_map.reference, transport_map.info.patch_size, device=autoencoder.device)

    def __repr__(self) -> str:
        """Return what is applied to images, in four lines."""
        preserved = "".join(f", {name} preserved" for name in sorted(self.composition.preserve))
        each = "" if self.strength_rule is None else " for all images alike, else by the scores of each"
        lines = f"{self.autoencoder!r}\n{repr(self.transport_map).splitlines()[0]}".splitlines()
        return "\n  ".join([f"Enhancer: alpha {self.alpha:g}{each}, mode {self.composition.mode}{preserved}", *lines])

    def __call__(self, image: ImageSource, companion: ImageSource | None = None) -> Image.Image:
        """Return an image of any size transported, in its own mode and bit depth.

        Args:
            image: The restored image: a Pillow image, an array (H, W, 3) or (H, W) of uint8 or uint16, or a path.
            companion: Another version of it, as in `enhance`.

        Raises:
            ArgumentError: An array has another shape or dtype.
            ArgumentTypeError: An image is none of these.
            UnsupportedImageError: `Pixels` does not support the mode of an image, or Pillow has none for the output.
            ValueError: α is above 1, and the companion is not what the map was fitted with.
        """
        other = None if companion is None else SourceImage.open(companion, "companion")
        return self.enhance_source(SourceImage.open(image, "image"), other)

    def enhance_source(self, image: SourceImage, companion: SourceImage | None = None) -> Image.Image:
        """Return what `__call__` does, of images that were opened before."""
        pixels = image.read()
        pixels.check_pillow_mode()
        self.enhance(pixels, None if companion is None else companion.read())
        return pixels.to_image()

    def enhance(
        self, pixels: Pixels, companion: Pixels | None = None, make_constraint: ConstraintFactory | None = None
    ) -> EnhanceStats:
        """Transport the samples in place, or mix them with those of a companion.

        If an accelerator runs out of memory, this photo is transported again from its original samples in tiles of half
        the side, and so on. Later photos start with the full tiles again: what a photo becomes must not depend on those
        before it.

        Args:
            pixels: The restored photo.
            companion: Another version of it with less error, of the same size, in any mode: such as the restorer's
                input. Only α > 1 uses it, and needs it if the map was fitted with companions.
            make_constraint: Makes what the result must not contradict, such as `partial(JpegConstraint, coefficients)`;
                the result is projected onto it. None leaves the means of cells, in modes that keep them.

        Raises:
            AutoencoderError: The autoencoder returned values that are not finite; no sample is changed.
            ValueError: α is above 1, and the companion is missing, has another size than the photo, or is given though
                the map was fitted without companions; no sample is changed.
            torch.OutOfMemoryError: The smallest sensible tiles need too much memory, or the CPU ran out of it.
        """
        return self.prepare(pixels, companion, make_constraint).finish()

    def prepare(
        self, pixels: Pixels, companion: Pixels | None = None, make_constraint: ConstraintFactory | None = None
    ) -> Enhancement:
        """Return what `enhance` does as an `Enhancement`, so that a photo can be queued before another is finished.

        Args:
            pixels: The restored photo, whose samples must not be changed by others until it is finished.
            companion: As for `enhance`.
            make_constraint: As for `enhance`.

        Raises:
            ValueError: As for `enhance`.
        """
        alpha = self.alpha if self.strength_rule is None else self.strength_rule.alpha(score_photo(pixels))
        if alpha > 1:
            self._check_companion(pixels, companion)
        original = pixels if alpha == 1 else replace(pixels, samples=pixels.samples.copy())
        areas = None if alpha == 1 else self.composition.find_constant_areas(original.samples)

        def queue(size: int) -> QueuedPhoto:
            plan = replace(self.tiles, size=size).plan(self.autoencoder, pixels)
            return self._queue(original, pixels, plan, companion, alpha, areas)

        def complete(stats: EnhanceStats) -> EnhanceStats:
            constraint = stats.constraint if make_constraint is None else make_constraint(original.samples)
            if constraint is not None:
                stats = self._project(pixels, areas, constraint, stats)
            return replace(stats, change=ChangeSize.measure(original.samples, pixels.samples))

        return Enhancement(self.autoencoder, self.tiles, original, pixels, queue, complete)

    def _project(
        self, pixels: Pixels, areas: ConstantAreas | None, constraint: Constraint, stats: EnhanceStats
    ) -> EnhanceStats:
        """Project a result onto a constraint, in place, except for constant areas; returns the statistics with it."""
        start = time.perf_counter()
        if stats.alpha != 1:
            constraint.project(pixels, areas)
        seconds = stats.seconds | {"decode": stats.seconds["decode"] + time.perf_counter() - start}
        return replace(stats, constraint=constraint, seconds=seconds)

    def _check_companion(self, pixels: Pixels, companion: Pixels | None) -> None:
        """Check that there is a companion if and only if the map was fitted with companions.

        Raises:
            ValueError: It is not so, or it has another size than the photo.
        """
        if companion is None and self.companion_weight is not None:
            raise ValueError(
                f"alpha is {self.alpha:g}, which mixes the restored photo with its companion, as the map was fitted "
                "with companions: give the companion, or an alpha up to 1"
            )
        if companion is not None and self.companion_weight is None:
            raise ValueError("there is a companion, but the map was fitted without companions: fit it with them")
        if companion is not None:
            check_companion_size(pixels, companion)

    @torch.inference_mode()
    def _queue(
        self,
        original: Pixels,
        pixels: Pixels,
        plan: TilePlan,
        companion: Pixels | None,
        alpha: float,
        areas: ConstantAreas | None,
    ) -> QueuedPhoto:
        """Queue everything that the device computes for a photo; a GPU is not waited for if the photo is 8-bit sRGB."""
        device = self.autoencoder.device
        times, finite = PhaseTimes(device), FiniteCheck(device)
        samples = take_samples(original, pixels, areas, device)
        latents = encode_unchecked(self.autoencoder, samples, plan, self.composition.apply_tone)
        times.mark()
        transported = self._operator(latents)
        likelihoods = [self._patch_nll.on_device(each) for each in (latents, transported)]
        numbers = [mean_square_difference(transported, latents), *likelihoods]
        times.mark()
        means, result = None, None
        if alpha > 1 and companion is not None and self.companion_weight is not None:
            share, luma_only = (alpha - 1) * self.companion_weight, Preserve.CHROMA in self.composition.preserve
            mix_companion(pixels, companion, share, luma_only=luma_only)
        elif alpha != 1:
            means, is_grey = self._make_mean_constraint(original), original.samples.shape[2] == 1
            for block in self._iter_decoded(samples, latents, transported, plan):
                finite.add(block.values)
                change = self._compose(samples, block, 1 - alpha, means, grey=is_grey)
                samples.add_rgb_delta(block.top, change, block.left)
            result = samples.result
        times.mark()
        stacked = torch.stack([*numbers, finite.value])
        return QueuedPhoto(original, pixels, latents, stacked, samples, result, means, times, plan.count, alpha)

    def _make_mean_constraint(self, photo: Pixels) -> CellMeanConstraint | None:
        """Return the constraint of a photo's cell means, which is empty so far; None if the mode does not keep them."""
        composition, device = self.composition, self.autoencoder.device
        if not composition.keeps_cell_means:
            return None
        one_change = composition.has_one_change(grey=photo.samples.shape[2] == 1)
        return CellMeanConstraint(photo.height, photo.width, composition.factor, one_change=one_change, device=device)

    def _iter_decoded(
        self, samples: PhotoSamples, latents: Tensor, transported: Tensor, plan: TilePlan
    ) -> Iterator[StitchedBlock]:
        """Yield D(z′) in plain mode, and what is added of D(z′) − D(z) and D(z) − t in others, in blocks."""
        composition, autoencoder = self.composition, self.autoencoder
        decode_transported, decode_latents = make_tile_decoder(autoencoder, transported, plan), None
        if composition.mode is not TransportMode.PLAIN:
            decode_latents = make_tile_decoder(autoencoder, latents, plan)

        def decode_tile(row: Span, column: Span) -> Tensor:
            window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
            after = decode_transported(transported[window])
            if decode_latents is None:
                return after
            before = decode_latents(latents[window])
            read_toned = partial(read_cells, autoencoder, samples, *window[1:], composition.apply_tone)
            return composition.filter_decoded(after, before, read_toned)

        return plan.stitch(decode_tile, autoencoder.factor)

    def _compose(
        self,
        samples: PhotoSamples,
        block: StitchedBlock,
        strength: float,
        means: CellMeanConstraint | None = None,
        *,
        grey: bool,
    ) -> Tensor:
        """Return x̂ − x* for a block of what `_iter_decoded` yields, and record the means of its cells."""
        device = block.values.device
        restored = samples.to_rgb(*block.region, device).contiguous()  # one layout for all that follows
        values = block.values[:, :, : restored.shape[2], : restored.shape[3]].contiguous()
        sides = restored, self.composition.apply_tone(restored), strength, samples.constant_mask(*block.region)
        if means is not None:
            means.record(block.top, block.left, self.composition.goal_means(*sides, grey=grey))
        return self.composition.change(values, *sides, grey=grey)
