"""The tree of merges depends on the order and number of items alone."""

import itertools

import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments


class Parenthesised(str):
    """A text that shows which merges have made it."""

    def merge(self, other):
        return Parenthesised(f"({self}{other})")


def test_merge_in_order_gives_the_same_bytes_for_the_same_order(generator):
    parts = [Moments.from_patches(torch.randn(5, 4, generator=generator)) for _ in range(13)]
    once = merge_in_order(parts).to_bytes()
    assert merge_in_order(iter(parts)).to_bytes() == once
    assert any(merge_in_order(order).to_bytes() != once for order in itertools.islice(itertools.permutations(parts), 9))


@pytest.mark.parametrize(("items", "merged"), [("a", "a"), ("abc", "((ab)c)"), ("abcdefg", "(((ab)(cd))((ef)g))")])
def test_merge_in_order_merges_neighbours_of_equal_size(items, merged):
    assert merge_in_order(map(Parenthesised, items)) == merged


def test_merge_in_order_of_nothing_raises():
    with pytest.raises(MomentsError, match="no moments to merge: no image yielded any latent patches"):
        merge_in_order([])
