"""The whole method against a second implementation in NumPy that shares no code with it, on photos of any size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from deepot.autoencoder import as_autoencoder
from deepot.inference.cell_mean_constraint import CellMeanConstraint
from deepot.inference.enhancer import Enhancer
from deepot.inference.image_fitting import fit_images
from deepot.inference.modes import TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from tests.support import fake_autoencoders
from tests.support.photos import make_photo, soften

P = 3
LUMA = np.array([0.299, 0.587, 0.114])
CONTRAST = 0.9  # of reconstructions


class Lossy(fake_autoencoders.Shuffle):
    """An autoencoder whose reconstructions have less contrast than photos."""

    def decode(self, latents):
        return super().decode(CONTRAST * latents)


def encode(rgb):
    """Encode an image (H, W, 3) as `fake_autoencoders.Shuffle` does, to latents (c, h, w)."""
    height, width = (-(-side // 2) for side in rgb.shape[:2])
    full = np.pad(rgb, ((0, 2 * height - rgb.shape[0]), (0, 2 * width - rgb.shape[1]), (0, 0)), mode="edge")
    return full.reshape(height, 2, width, 2, 3).transpose(4, 1, 3, 0, 2).reshape(12, height, width) * 2 - 1


def decode(latents):
    """Decode as `Lossy` does."""
    latents = CONTRAST * latents
    _, height, width = latents.shape
    return ((latents + 1) / 2).reshape(3, 2, 2, height, width).transpose(3, 1, 4, 2, 0).reshape(2 * height, -1, 3)


def patch_origins(latents):
    """Where the patches of latents begin."""
    return [(y, x) for y in range(latents.shape[1] - P + 1) for x in range(latents.shape[2] - P + 1)]


def patch(latents, y, x):
    return latents[:, y : y + P, x : x + P]


def cell_sums(image):
    """Sums over the 2 × 2 pixels of every cell, of which the last may be cut, and the number of pixels."""
    tall, wide = (-(-side // 2) for side in image.shape[:2])
    total, count = np.zeros((tall, wide, image.shape[2])), np.zeros((tall, wide, 1))
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            total[y // 2, x // 2] += image[y, x]
            count[y // 2, x // 2] += 1
    return total, count


def fill(cells, height, width):
    return cells.repeat(2, 0).repeat(2, 1)[:height, :width]


def coarse(image):
    """The smooth image of the same cell means.

    Linear interpolation between centres of cells makes of their values v the means (v₋₁ + 6 v + v₊₁) / 8; the inverse
    of that filter is κ r^|n|.
    """
    values, ratio = cell_sums(image)[0] / 4, np.sqrt(8) - 3
    kernel = ratio ** np.abs(np.arange(-2, 3))
    for axis in (0, 1):
        padded = np.pad(values, [(2, 2) if each == axis else (0, 0) for each in range(3)], mode="symmetric")
        steps = (np.take(padded, range(n, n + values.shape[axis]), axis) for n in range(5))
        values = sum(weight * step for weight, step in zip(kernel / kernel.sum(), steps, strict=True))
    for axis in (0, 1):
        last = values.shape[axis] - 1
        place = np.clip((np.arange(2 * last + 2) + 0.5) / 2 - 0.5, 0, last)
        first = place.astype(int)
        share = (place - first).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        after = np.minimum(first + 1, last)
        values = np.take(values, first, axis) * (1 - share) + np.take(values, after, axis) * share
    return values


def detail(image):
    """The image without its coarse part, and without what that leaves of the cell means."""
    fine = image - coarse(image)
    return fine - fill(cell_sums(fine)[0] / 4, *image.shape[:2])


def scale_bands(image, gains):
    """The coarse part and the rest, each of luma and of chroma times its gain; the rest has no cell means."""
    luma = (image @ LUMA)[:, :, None].repeat(3, 2)
    parts = (luma, gains.luma), (image - luma, gains.chroma)
    return sum(first * coarse(part) + rest * detail(part) for part, (first, rest) in parts)


def remove_repetition(image):
    """The image without the mean pattern of the 5 × 5 cells around each cell, weighted by 1 / energy."""
    height, width = image.shape[:2]
    patterns = image - fill(cell_sums(image)[0] / 4, height, width)
    weights = 1 / (cell_sums(patterns**2)[0].mean(2) / 4 + (0.5 / 255) ** 2)
    kept = image.copy()
    for y, x in np.ndindex(*weights.shape):
        around = [(j, i) for j, i in np.ndindex(*weights.shape) if abs(j - y) <= 2 and abs(i - x) <= 2]
        total = sum(weights[place] for place in around)
        pattern = sum(weights[j, i] * patterns[2 * j : 2 * j + 2, 2 * i : 2 * i + 2] for j, i in around) / total
        kept[2 * y : 2 * y + 2, 2 * x : 2 * x + 2] -= pattern
    return kept


def restore_cell_means(change, rgb, moved):
    """The change after which clipping has not kept cells from their means, as far as their other pixels can help.

    The means are those of the photo, plus those of the change if it has `moved` them on purpose.
    """
    height, width = rgb.shape[:2]
    goal, sizes = cell_sums(rgb)
    if moved:
        goal = (goal + cell_sums(change)[0]).clip(0, sizes)
    for _ in range(12):
        values = rgb + change
        free = (values > 0) & (values < 1)
        if (rgb == rgb[:, :, :1]).all() and (change == change[:, :, :1]).all():
            free = free.any(2, keepdims=True).repeat(3, 2)
        free_count = cell_sums(free.astype(float))[0]
        step = np.where(free_count > 0, (goal - cell_sums(values.clip(0, 1))[0]) / np.maximum(free_count, 1), 0)
        change = change + fill(step, height, width) * free
    return change


@pytest.fixture(scope="module")
def fitted():
    """A fitted map, and the same matrix and means by SciPy."""
    autoencoder = as_autoencoder(Lossy(), "lossy", dtype=torch.float32, device="cpu")
    clean = [make_photo(seed, 40, 32) for seed in range(8)]
    restored = [soften(photo) for photo in clean]
    vectors = []
    for photos in (restored, clean):
        latents = [encode(np.asarray(photo) / 255) for photo in photos]
        vectors.append(np.array([patch(each, y, x).ravel() for each in latents for y, x in patch_origins(each)]))
    source, target = (np.cov(each.T) for each in vectors)
    values, axes = np.linalg.eigh(source)
    root, inverse = (axes * np.sqrt(values)) @ axes.T, (axes / np.sqrt(values)) @ axes.T
    matrix = inverse @ sqrtm(root @ target @ root).real @ inverse
    transport = fit_images(autoencoder, restored, clean, patch_size=P, tone=False)
    gains = replace(transport.change.gains, reconstruction_luma=(0.3, 0.8), reconstruction_chroma=(0.1, 0.6))
    transport = replace(transport, change=replace(transport.change, gains=gains))
    return autoencoder, transport, (matrix, *(each.mean(0) for each in vectors))


def test_fit_images_equals_the_closed_form_by_scipy(fitted):
    _, transport, (matrix, source, target) = fitted
    found = transport.parameters
    np.testing.assert_allclose(found["matrix"], matrix, atol=1e-5 * np.abs(matrix).max())
    np.testing.assert_allclose(found["source_mean"], source, atol=1e-6)
    np.testing.assert_allclose(found["target_mean"], target, atol=1e-6)


def transported(latents, matrix, source, target):
    """Every patch of padded latents by the map, overlaps averaged."""
    padded = np.pad(latents, ((0, 0), (1, 1), (1, 1)), mode="edge")
    total, count = np.zeros_like(padded), np.zeros_like(padded)
    for y, x in patch_origins(padded):
        patch(total, y, x)[:] += (matrix @ (patch(padded, y, x).ravel() - source) + target).reshape(-1, P, P)
        patch(count, y, x)[:] += 1
    return (total / count)[:, 1:-1, 1:-1]


def enhance(samples, maximum, affine, gains, mode, alpha):
    """What the samples (H, W, C) become, before they are rounded."""
    values = samples / maximum
    light = 1 - values[:, :, 3:]
    rgb = (1 - values[:, :, :3]) * light if values.shape[2] == 4 else np.broadcast_to(values, (*values.shape[:2], 3))
    latents = encode(rgb)
    after, before = decode(transported(latents, *affine)), decode(latents)
    change = remove_repetition(detail(after - before) if mode is TransportMode.DETAIL else after - before)
    if mode is TransportMode.AUTO:
        padded = np.pad(rgb, [(0, after.shape[0] - rgb.shape[0]), (0, after.shape[1] - rgb.shape[1]), (0, 0)], "edge")
        change = scale_bands(change, gains) + scale_bands(remove_repetition(before - padded), gains.reconstruction)
    change = change[: rgb.shape[0], : rgb.shape[1]]
    if mode is TransportMode.PLAIN:
        change = after[: rgb.shape[0], : rgb.shape[1]] - rgb
    change = change * (1 - alpha)
    if values.shape[2] == 1:
        change = (change @ LUMA)[:, :, None].repeat(3, 2)
    if mode in (TransportMode.AUTO, TransportMode.DETAIL):
        change = restore_cell_means(change, rgb, mode is TransportMode.AUTO)
    if values.shape[2] == 1:
        change = change[:, :, :1]
    elif values.shape[2] == 4:
        change = np.dstack([np.where(light > 1 / 255, -change / np.maximum(light, 1 / 255), 0), 0 * light])
    return np.clip((values + change) * maximum, 0, maximum)


@given(
    st.integers(1, 26),
    st.integers(1, 26),
    st.sampled_from(list(TransportMode)),
    st.floats(-2, 3),
    st.sampled_from(["L", "RGB", "CMYK"]),
    st.sampled_from([np.uint8, np.uint16]),
    st.sampled_from([1424, 16]),
    st.integers(0, 99),
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_enhance_equals_the_published_formulas(fitted, height, width, mode, alpha, kind, depth, tile, seed):
    autoencoder, transport, affine = fitted
    maximum = int(np.iinfo(depth).max)
    plain = np.asarray(make_photo(seed, width, height).convert(kind)).reshape(height, width, -1)
    samples = (plain.astype(np.uint32) * maximum // 255).astype(depth)
    pixels = Pixels(samples.copy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CellMeanConstraint, "project", lambda *_: None)  # of means that rounding has moved
        Enhancer(autoencoder, transport, alpha=alpha, mode=mode, tiles=TileOptions(tile)).enhance(pixels)
    expected = enhance(samples, maximum, affine, transport.change.gains, mode, alpha)
    assert np.abs(pixels.samples - expected).max() < 0.5 + 1e-4 * maximum
