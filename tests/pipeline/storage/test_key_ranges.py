"""Ranges of keys give exactly the sequential listing, in time, with few requests and in little memory."""

import random
from string import hexdigits

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.storage.key_ranges import KeyOrderError, RangePlanner, check_order
from pipeline.storage.s3_pages import S3Object, S3Page
from tests.support.simulated_listing import page_after, simulate_listing

N_KEYS, STREAMS, MAX_PAGES = 200_000, 16, 192
CHARACTERS = st.one_of(
    st.sampled_from("ab"), st.sampled_from("0123456789/._- "), st.characters(exclude_categories=["Cs"])
)
KEYS = st.sets(
    st.one_of(
        st.text(CHARACTERS, min_size=1, max_size=8),
        st.integers(0, 3000).map("{:05d}.jpg".format),
        st.tuples(st.integers(0, 9), st.integers(0, 400)).map(lambda pair: "box-{}/é{}.png".format(*pair)),
    ),
    min_size=3,
    max_size=400,
)


@settings(max_examples=150)
@given(KEYS, st.integers(1, 40), st.integers(1, 16), st.sampled_from(["", "in/", "📷" * 40 + "/"]), st.integers(0, 99))
def test_ranges_give_the_sequential_listing_of_any_keys(keys, page_size, streams, prefix, seed):
    ordered = sorted(prefix + key for key in keys)
    max_pages = 12 * streams
    found = simulate_listing(ordered, streams, page_size, prefix, max_pages, jitter=2.0, seed=seed)
    assert found.keys == ordered
    assert found.most_held <= max_pages
    n_pages = -(-len(ordered) // page_size)
    assert found.requests * n_pages <= 2 * n_pages + 64


def folders(per_folder, digits=6):
    return [f"box-{n // per_folder:05d}/scan-{n % per_folder:0{digits}d}.jpg" for n in range(N_KEYS)]


def hashes():
    rng = random.Random(0)
    return ["".join(rng.choice(hexdigits[:16]) for _ in range(20)) + ".jpg" for _ in range(N_KEYS)]


def days():
    rng = random.Random(1)
    names = [f"{year}/{month:02d}/{day:02d}" for year in range(1990, 2024) for month in range(1, 13) for day in (3, 17)]
    sizes = [rng.paretovariate(0.7) for _ in names]
    return [f"{name}/IMG_{number:07d}.jpg" for number, name in enumerate(rng.choices(names, sizes, k=N_KEYS))]


def people():
    """Folders with names of people, of very different sizes."""
    rng = random.Random(2)
    names = ["".join(rng.choice("etaoinshrdlu") for _ in range(rng.randrange(4, 9))) for _ in range(1500)]
    sizes = [rng.lognormvariate(0, 1.5) for _ in names]
    return [f"{name}, J./{number}.tif" for number, name in enumerate(rng.choices(names, sizes, k=N_KEYS))]


def hanzi():
    rng = random.Random(3)
    return [
        "".join(chr(0x4E00 + int(rng.triangular(0, 20_000, 3000))) for _ in range(5)) + f"{number}.png"
        for number in range(N_KEYS)
    ]


KINDS = {
    "flat counter": lambda: [f"IMG_{number:08d}.jpg" for number in range(N_KEYS)],
    "counter of any length": lambda: [f"{number}.jpg" for number in range(N_KEYS)],
    "hashes": hashes,
    "folders of 20": lambda: folders(20),
    "folders of 300": lambda: folders(300),
    "folders of 2,500": lambda: folders(2500, digits=8),
    "folders of 10,000": lambda: folders(10_000),
    "days": days,
    "people": people,
    "one large folder": lambda: [
        f"all/{n:08d}.tif" if n % 20 else f"{'abxyz'[n // 20 % 5]}/{n}" for n in range(N_KEYS)
    ],
    "after a gap": lambda: [f"{'A' if n < N_KEYS // 2 else 'z'}{n:08d}" for n in range(N_KEYS)],
    "hanzi": hanzi,
    "long common start": lambda: [f"{'x' * 400}/{n // 9000:04d}/{'y' * 30}{n % 9000:06d}" for n in range(N_KEYS)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_use_the_streams_whatever_the_keys_are_like(kind):
    """With 200 pages only, the first requests, one after the other, take a good part of the time."""
    keys = sorted(set(KINDS[kind]()))
    found = simulate_listing(keys, STREAMS, max_pages=MAX_PAGES)
    assert found.keys == keys
    assert found.speedup > 6, found.speedup
    assert found.requests < 1.5, found.requests
    assert found.most_held <= MAX_PAGES


def test_a_range_goes_on_by_its_token_after_a_page_without_keys():
    planner = RangePlanner("", [[S3Object("a", 1, "", 0.0)], []], 1, 8)
    requested = planner.next_request()
    assert (requested.cursor, requested.token) == ("a", "")
    planner.add_page(requested, S3Page([], [], "further"))
    assert planner.take_page() is None and not planner.is_complete
    assert planner.next_request() is requested and requested.token == "further"
    planner.add_page(requested, S3Page([S3Object("b", 1, "", 0.0)], [], ""))
    assert [each.key for each in planner.take_page()] == ["b"]
    assert planner.take_page() is None and planner.is_complete


@pytest.mark.parametrize("keys", [["a"], ["b", "b"], ["c", "b"], ["é", "z"]])
def test_keys_that_are_out_of_order_are_refused(keys):
    objects = [S3Object(key, 1, "", 0.0) for key in keys]
    planner = RangePlanner("", [[S3Object("a", 1, "", 0.0)]], 1, 8)
    with pytest.raises(KeyOrderError, match=f"'{keys[-1]}' is listed after '.'"):
        planner.add_page(planner.next_request(), S3Page(objects, [], ""))
    check_order("", [S3Object(key, 1, "", 0.0) for key in sorted(set(keys))])


def test_no_more_pages_are_requested_than_may_be_held():
    keys = [f"{number:06d}" for number in range(4000)]
    first = page_after(keys, "", 10)
    planner, requested = RangePlanner("", [first.objects], 10, 24), []
    while True:  # the first range never gets an answer, so that nothing can be taken
        new = []
        while (key_range := planner.next_request()) is not None:
            new.append(key_range)
        requested += new
        for key_range in new:
            if key_range is not requested[0]:
                planner.add_page(key_range, page_after(keys, key_range.cursor, 10))
        if not new:
            break
    assert 12 < len(requested) <= 25
