"""The sliding window of `prefetch_map`: which items have begun is decided by events, not by time."""

import threading
from itertools import count

import pytest

from pipeline.storage.prefetch import prefetch_map

WAIT_S = 60  # only a broken window lets a test wait that long


class Gates:
    """A function whose calls wait at a gate each, and that says which have begun."""

    def __init__(self):
        self.begun, self.gates = {}, {}
        self.order, self._lock = [], threading.Lock()

    def __call__(self, item):
        with self._lock:
            self.order.append(item)
        self.begun[item].set()
        assert self.gates[item].wait(WAIT_S), f"nobody opened the gate of {item}"
        return item * item

    def open(self, *items):
        for item in items:
            self.gates[item].set()

    def wait_until_begun(self, *items):
        for item in items:
            assert self.begun[item].wait(WAIT_S), f"{item} has not begun"


@pytest.fixture
def gates():
    made = Gates()
    for item in range(20):
        made.begun[item], made.gates[item] = threading.Event(), threading.Event()
    yield made
    made.open(*range(20))


def prefetch_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("max_held", [None, 1, 2, 5])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_results_come_in_the_order_of_the_items(n, threads, max_held):
    assert list(prefetch_map(str, iter(range(n)), threads, max_held)) == [(i, str(i)) for i in range(n)]


def test_next_item_begins_while_a_slow_one_is_waited_for(gates):
    found = []
    consumer = threading.Thread(target=lambda: found.extend(prefetch_map(gates, range(6), 2, 6)), daemon=True)
    consumer.start()
    gates.wait_until_begun(0, 1)
    for item in range(1, 6):  # item 0 stays at its gate
        gates.open(item)
        if item < 5:
            gates.wait_until_begun(item + 1)
    assert found == []
    gates.open(0)
    consumer.join(WAIT_S)
    assert found == [(item, item * item) for item in range(6)]


def test_window_slides_by_one_item_for_each_result_taken(gates):
    """A batch would begin item 3 only after item 2 was taken."""
    results = prefetch_map(gates, range(6), 3)
    gates.open(0)
    assert next(results) == (0, 0)
    gates.open(1)
    assert next(results) == (1, 1)
    gates.wait_until_begun(2, 3)
    gates.open(2, 3, 4, 5)
    assert list(results) == [(item, item * item) for item in range(2, 6)]


@pytest.mark.parametrize(("threads", "max_held"), [(2, None), (2, 5), (3, 1)])
def test_no_more_items_are_read_than_may_be_held(threads, max_held):
    read, taken, limit = [], 0, max_held or threads

    def items():
        for item in range(12):
            read.append(item)
            assert len(read) - taken <= limit
            yield item

    for _ in prefetch_map(str, items(), threads, max_held):
        taken += 1
        assert len(read) <= taken - 1 + limit
    assert taken == 12


def test_exception_is_raised_at_the_turn_of_its_item():
    def fail_at_2(item):
        if item == 2:
            raise ValueError("two")
        return item

    found = []
    with pytest.raises(ValueError, match="two"):
        for item, _ in prefetch_map(fail_at_2, range(9), 4):
            found.append(item)
    assert found == [0, 1]
    assert prefetch_threads() == []


def test_exception_of_the_items_is_raised_after_the_results_before_it():
    def items():
        yield from (0, 1)
        raise RuntimeError("no more")

    found = []
    with pytest.raises(RuntimeError, match="no more"):
        for item, _ in prefetch_map(str, items(), 4):
            found.append(item)
    assert found == [0, 1]


def test_closing_early_cancels_what_has_not_begun_and_leaves_no_thread(gates):
    results = prefetch_map(gates, count(), 2, 8)
    gates.open(0)
    assert next(results) == (0, 0)
    gates.wait_until_begun(1, 2)
    closer = threading.Thread(target=results.close, daemon=True)
    closer.start()
    gates.open(1, 2)
    closer.join(WAIT_S)
    assert not closer.is_alive() and prefetch_threads() == []
    assert set(gates.order) <= {0, 1, 2, 3}, "at most what a thread took up before the others were cancelled"


def test_failure_of_one_item_cancels_the_others_and_leaves_no_thread(gates):
    def fail_first(item):
        if item == 0:
            gates.wait_until_begun(1)
            raise ValueError("zero")
        return gates(item)

    def consume():
        with pytest.raises(ValueError, match="zero"):
            next(results)

    results = prefetch_map(fail_first, range(20), 2, 20)
    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    gates.wait_until_begun(1)
    gates.open(*range(20))
    consumer.join(WAIT_S)
    assert not consumer.is_alive() and prefetch_threads() == []


def test_nothing_begins_before_the_first_result_is_asked_for():
    prefetch_map(pytest.fail, range(3), 2).close()
    assert prefetch_threads() == []
