"""The tree of merges depends on the order and number of items alone."""

import itertools
import math

import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport.merging import merge_all_but_one, merge_in_order
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


@pytest.mark.parametrize("items", ["ab", "abc", "abcdefg", "abcdefghijklmnop"])
def test_merge_all_but_one_leaves_out_each_item_in_turn_and_shares_merges(items):
    class Counted(frozenset):
        merges = 0

        def merge(self, other):
            assert not self & other
            Counted.merges += 1
            return Counted(self | other)

    found = list(merge_all_but_one([Counted(item) for item in items]))
    assert found == [frozenset(items) - {item} for item in items]
    assert Counted.merges <= len(items) * math.ceil(math.log2(len(items)))


def test_merge_all_but_one_merges_what_is_given_besides():
    one, two, more = map(Parenthesised, "abc")
    assert list(merge_all_but_one([one, two], more)) == ["(cb)", "(ca)"]
    assert list(merge_all_but_one([], more)) == []


def test_merge_all_but_one_of_a_single_item_raises():
    with pytest.raises(MomentsError, match="no moments to merge"):
        list(merge_all_but_one(["a"]))
