"""Moments of any split of a set against those of the set, and their file."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.errors import MomentsError
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments, read_autoencoder_sha256
from deepot.transport.safetensors_file import pack, unpack_tensors


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_merge_in_order_of_any_split_equals_the_moments_of_the_set(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(sizes), 5, generator=generator, dtype=torch.float64) * 3 + 100
    merged = merge_in_order(Moments.from_patches(part) for part in x.split(sizes))
    assert merged.count == len(x)
    if len(x):
        torch.testing.assert_close(merged.mean, x.mean(0))
    if len(x) > 1:
        np.testing.assert_allclose(merged.gaussian().covariance, np.cov(x.numpy().T), rtol=1e-9, atol=1e-10)


def test_merge_in_order_with_a_large_mean_keeps_precision(generator):
    x = torch.randn(1000, 3, generator=generator, dtype=torch.float64)
    far = merge_in_order(Moments.from_patches(part) for part in (x + 1e8).split(100))
    torch.testing.assert_close(far.gaussian().covariance, x.T.cov(), rtol=1e-6, atol=1e-7)


def test_merge_is_associative_and_has_a_neutral_element(generator):
    a, b, c = (Moments.from_patches(torch.randn(n, 4, generator=generator)) for n in (3, 1, 7))
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    torch.testing.assert_close(left.scatter, right.scatter)
    assert a.merge(Moments.empty(4)) is a
    assert Moments.empty(4).merge(a) is a


def test_bytes_round_trip_and_equal_moments_give_equal_bytes(generator):
    moments = Moments.from_patches(torch.randn(9, 4, generator=generator))
    back = Moments.from_bytes(moments.to_bytes({"autoencoder": "x", "a": "b"}))
    assert (back.count, back.images) == (9, 1)
    assert torch.equal(back.scatter, moments.scatter)
    assert moments.to_bytes({"autoencoder": "x", "a": "b"}) == back.to_bytes({"a": "b", "autoencoder": "x"})


def test_gaussian_of_one_patch_raises():
    with pytest.raises(MomentsError, match="at least 2 latent patches, there are 1"):
        Moments.from_patches(torch.zeros(1, 4)).gaussian()


def test_merge_of_different_dimensions_raises():
    with pytest.raises(MomentsError, match="dimension 4 and 5"):
        Moments.empty(4).merge(Moments.empty(5))


@pytest.mark.parametrize("data", [b"", b"junk junk junk", Moments.empty(3).to_bytes()[:50]])
def test_from_bytes_of_another_file_raises(data):
    with pytest.raises(MomentsError, match=r"x\.safetensors is not a moments file"):
        Moments.from_bytes(data, "x.safetensors")


@pytest.mark.parametrize("data", [b"", b"\x05\0\0\0\0\0\0\0[1,2]", b"\x04\0\0\0\0\0\0\0null"])
def test_read_autoencoder_sha256_of_another_file_raises(data):
    with pytest.raises(MomentsError, match=r"x\.safetensors is not a moments file"):
        read_autoencoder_sha256(data, "x.safetensors")


def tampered(**changes):
    """The tensors of sound moments of 9 patches of 2 images in R^4, with some replaced by functions of them."""
    generator = torch.Generator().manual_seed(5)
    tensors = unpack_tensors(Moments.from_patches(torch.randn(9, 4, generator=generator), 2).to_bytes())
    return tensors | {name: change(tensors[name]) for name, change in changes.items()}


def with_entry(value):
    def change(tensor):
        changed = tensor.clone()
        changed.view(-1)[1] = value
        return changed

    return change


def replaced(*values, dtype=torch.int64):
    return lambda _: torch.tensor(values, dtype=dtype)


def with_negative_direction(scatter):
    """Return a matrix with a sound diagonal and one negative eigenvalue."""
    values, vectors = torch.linalg.eigh(scatter)
    values[0] = -0.1 * values[-1]
    return (vectors * values) @ vectors.mT


TAMPERED = {
    "NaN in the mean": (tampered(mean=with_entry(float("nan"))), "mean is not made of finite float64 numbers"),
    "NaN in the scatter": (tampered(scatter=with_entry(float("nan"))), "scatter is not made of finite"),
    "infinity in the mean": (tampered(mean=with_entry(float("inf"))), "mean is not made of finite"),
    "minus infinity in the scatter": (tampered(scatter=with_entry(float("-inf"))), "scatter is not made of finite"),
    "huge numbers": (tampered(scatter=lambda scatter: scatter * 1e200), r"scatter has numbers as large as \de\+2"),
    "negated scatter": (tampered(scatter=torch.neg), "scatter has a negative variance"),
    "one negative variance": (
        tampered(scatter=lambda s: s - 2 * torch.diag(s.diagonal() * torch.eye(4)[0])),
        "negative",
    ),
    "one negative direction": (tampered(scatter=with_negative_direction), "scatter has a negative variance"),
    "asymmetric scatter": (tampered(scatter=lambda scatter: scatter.triu()), "scatter is not symmetric"),
    "float32": (tampered(scatter=torch.Tensor.float), "scatter is not made of finite float64 numbers"),
    "integers": (tampered(mean=torch.Tensor.long), "mean is not made of finite float64 numbers"),
    "scatter of another shape": (
        tampered(scatter=lambda s: s[:3, :3].clone()),
        r"scatter of shape \(3, 3\) instead of",
    ),
    "flat scatter": (tampered(scatter=torch.flatten), r"scatter of shape \(16,\) instead of \(4, 4\)"),
    "mean of another shape": (tampered(mean=lambda mean: mean[None]), r"mean of shape \(1, 4\) instead of \(4,\)"),
    "mean of no dimension": (tampered(mean=lambda mean: mean[0]), r"mean of shape \(\) instead of"),
    "negative count": (tampered(count=replaced(-9, 2)), "it states -9 latent patches of 2 images"),
    "negative images": (tampered(count=replaced(9, -2)), "it states 9 latent patches of -2 images"),
    "no images": (tampered(count=replaced(9, 0)), "it states 9 latent patches of 0 images"),
    "no patches": (tampered(count=replaced(0, 2)), "it states 0 latent patches of 2 images"),
    "no patches of nothing": (tampered(count=replaced(0, 0)), "it states 0 latent patches, but they vary"),
    "one patch": (tampered(count=replaced(1, 1)), "it states 1 latent patches, but they vary"),
    "fewer patches than images": (tampered(count=replaced(2, 9)), "it states 2 latent patches of 9 images"),
    "too many patches": (tampered(count=replaced(2**62, 2)), "it states 4,611,686,018,427,387,904 latent patches"),
    "one count": (tampered(count=replaced(9)), "count is not made of two whole numbers"),
    "three counts": (tampered(count=replaced(9, 2, 1)), "count is not made of two whole numbers"),
    "counts in columns": (tampered(count=lambda count: count[:, None]), "count is not made of two whole numbers"),
    "fractions of counts": (tampered(count=replaced(9.5, 2.0, dtype=torch.float64)), "count is not made of two whole"),
    "infinite counts": (tampered(count=replaced(float("inf"), 2.0, dtype=torch.float64)), "count is not made of two"),
    "complex counts": (tampered(count=replaced(9, 2, dtype=torch.complex64)), "count is not made of two whole numbers"),
    "no scatter": ({name: tensor for name, tensor in tampered().items() if name != "scatter"}, "'scatter'"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_from_bytes_of_tampered_moments_names_the_file_and_what_is_wrong(kind):
    tensors, message = TAMPERED[kind]
    with pytest.raises(MomentsError, match=r"^x\.safetensors is not a moments file \(.*" + message) as caught:
        Moments.from_bytes(pack(tensors, {"format": "deepot-moments-1"}), "x.safetensors")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; delete it, and the next 'deepot fit' computes it again")


@pytest.mark.parametrize("change", [lambda x: x * 1e6, lambda x: x * (1 + 1e-12), torch.zeros_like])
@pytest.mark.parametrize("name", ["mean", "scatter"])
def test_from_bytes_of_moments_that_have_changed_is_refused_though_they_are_possible(name, change):
    tensors = tampered()
    header = Moments.from_tensors(tensors).to_bytes()
    (length,) = torch.frombuffer(bytearray(header[:8]), dtype=torch.int64).tolist()
    changed = pack(tensors | {name: change(tensors[name])}, {})
    metadata = header[: 8 + length]  # with the hash of the original numbers
    start = 8 + int.from_bytes(changed[:8], "little")
    with pytest.raises(
        MomentsError, match=r"x is not a moments file \(its numbers have changed since it was written\)"
    ):
        Moments.from_bytes(metadata + changed[start:], "x")


def test_from_bytes_of_moments_of_an_older_version_without_a_hash_reads_them():
    tensors = tampered(scatter=lambda scatter: scatter * 1e6)
    assert Moments.from_bytes(pack(tensors, {"format": "deepot-moments-1"})).count == 9


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 50])
def test_from_bytes_of_moments_of_few_or_equal_patches_reads_them(n, offset, scale, generator):
    patches = scale * (torch.randn(n, 6, generator=generator, dtype=torch.float64) + offset)
    patches[:, 3] = patches[:, 2]  # of no variance in one direction
    for moments in (Moments.from_patches(patches), Moments.from_patches(patches[:1].expand(n, -1))):
        assert Moments.from_bytes(moments.to_bytes()).count == n
