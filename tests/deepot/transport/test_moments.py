"""Moments of any split of a set against those of the set, and their file."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.errors import MomentsError
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments, read_autoencoder_sha256


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
