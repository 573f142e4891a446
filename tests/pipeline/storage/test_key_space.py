"""The numbering of keys keeps their order, and numbers lead to keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.key_space import KeySpace

KEYS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=20)


def make_space(keys):
    space = KeySpace()
    for key in keys:
        space.learn(key)
    return space


@given(KEYS)
def test_numbers_of_known_keys_are_in_their_order_and_lead_back(keys):
    space = make_space(keys)
    ordered = sorted(set(keys))
    numbers = [space.to_number(key) for key in ordered]
    assert numbers == sorted(set(numbers)) and numbers[0] > 0 and numbers[-1] < space.size
    assert [space.to_key(number) for number in numbers] == ordered


@given(KEYS, KEYS)
def test_numbers_of_unknown_keys_are_no_further_off_than_their_neighbours(known, unknown):
    space = make_space(known)
    ordered = sorted({*known, *unknown})
    numbers = [space.to_number(key) for key in ordered]
    assert numbers == sorted(numbers) and numbers[-1] < space.size


def test_steps_of_a_counter_are_about_equal_steps_of_the_number():
    """The end of a key is a digit too, so that ten steps of one digit are eleven."""
    space = make_space(["IMG_0000.jpg"])
    first, last = (space.to_number(f"IMG_{counter}.jpg") for counter in ("0000", "9999"))
    for counter in range(0, 10_000, 77):
        share = (space.to_number(f"IMG_{counter:04d}.jpg") - first) / (last - first)
        assert share == pytest.approx(counter / 9999, abs=0.01)


def test_digits_are_completed_to_the_usual_sets_and_constants_are_not():
    space = make_space(["a7-b3-c", "ab-b3-d"])
    assert space.to_number("a0-b9-f") < space.to_number("af-b0-c") < space.size
    size = space.size
    for key in ("a0-b0-a", "f9-b8-f"):
        space.learn(key)
    assert space.size > size, "a constant that varies becomes a digit of several"


def test_surrogates_are_never_characters_of_a_key():
    space = make_space(["\ud7ff", "\ue000"])
    for number in range(space.size):
        space.to_key(number).encode()
