"""The pace at which servers of others are asked, by a clock of the test, and how long their answers are waited for."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipeline.errors import AccessDeniedError, StorageError, TooLargeError
from pipeline.storage import RequestPace, UnansweredError, read_politely, request_pace, stat_politely
from pipeline.storage.polite_requests import MAX_ATTEMPTS
from tests.support.iiif_server import run_iiif_server

PACE = RequestPace(requests_per_s=4, connections=2)


class Clock:
    """Seconds that pass only where somebody sleeps; several threads may sleep at a time."""

    def __init__(self):
        self.now, self.lock = 1000.0, threading.Lock()

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        if seconds > 0:
            with self.lock:
                self.now += seconds


@pytest.fixture
def clock(monkeypatch, tmp_path):
    clock = Clock()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("pipeline.storage.request_pace.time", clock)
    return clock


@pytest.fixture
def server(clock):
    with run_iiif_server() as server:
        server.documents["/a"] = b"the document"
        yield server


def test_requests_are_an_interval_apart_and_those_to_other_servers_are_not_waited_for(clock):
    starts = []
    for _ in range(5):
        with request_pace.take_turn("https://one.example.org/x", PACE):
            starts.append(clock.now)
    assert [start - starts[0] for start in starts] == [0, 0.25, 0.5, 0.75, 1.0]
    with request_pace.take_turn("https://two.example.org/x", PACE):
        assert clock.now == starts[-1]
    clock.now += 60
    late = clock.now
    with request_pace.take_turn("https://one.example.org/y", PACE):
        assert clock.now == late, "time in which nothing was asked is not saved up, nor waited for"
    with request_pace.take_turn("https://one.example.org/y", PACE):
        assert clock.now == late + 0.25


def test_files_of_a_clock_before_a_restart_or_of_nobody_do_not_stop_requests(clock, tmp_path):
    with request_pace.take_turn("https://one.example.org", PACE):
        pass
    (file,) = tmp_path.glob("deepot-servers-*/*.next")
    for content in (b"99999999999.0", b"", b"nonsense", b"1e9", b"\xff" * 99):
        file.write_bytes(content)
        before = clock.now
        with request_pace.take_turn("https://one.example.org", PACE):
            assert clock.now - before <= 2 * request_pace.MAX_WAIT_S


def test_folder_that_others_may_write_to_is_refused(clock, tmp_path):
    with request_pace.take_turn("https://one.example.org", PACE):
        pass
    (folder,) = tmp_path.glob("deepot-servers-*")
    folder.chmod(0o777)
    with (
        pytest.raises(StorageError, match="others may write to it: remove it, or set TMPDIR"),
        request_pace.take_turn("https://one.example.org", PACE),
    ):
        pass


def test_answers_are_read_and_their_state_is_asked_for(server):
    assert read_politely(f"{server.url}/a", 12, PACE) == b"the document"
    assert stat_politely(f"{server.url}/a", PACE).size == 12
    with pytest.raises(TooLargeError, match="has more than 11 bytes"):
        read_politely(f"{server.url}/a", 11, PACE)
    with pytest.raises(FileNotFoundError):
        read_politely(f"{server.url}/none", 11, PACE)
    assert len(server.requests) == 4, "none was repeated"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
def test_server_is_not_asked_before_the_time_that_it_gives(server, clock, status, as_date):
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True) if as_date else "100"
    server.refusals["/a"] = [(status, {"Retry-After": header})]
    before = clock.now
    assert read_politely(f"{server.url}/a", 100, PACE) == b"the document"
    assert 50 < clock.now - before <= 101, "a date is read by the clock of this machine"
    server.refusals["/a"] = [(status, {"Retry-After": header})]
    n_requests = len(server.requests)
    assert stat_politely(f"{server.url}/a", PACE).size == 12
    assert len(server.requests) == n_requests + 2, "nothing is asked again at once, by another method"
    before = clock.now
    read_politely(f"{server.url}/a", 100, PACE)
    assert clock.now - before <= 1 / PACE.requests_per_s


def test_other_requests_to_the_server_wait_too(server, clock):
    server.documents["/b"] = b"b"
    server.refusals["/a"] = [(503, {"Retry-After": "590"})]
    request_pace.postpone(f"{server.url}/x", 300)
    before = clock.now
    assert read_politely(f"{server.url}/b", 100, PACE) == b"b"
    assert clock.now - before >= 300


def test_waits_grow_until_the_last_attempt_fails(server, clock):
    server.refusals["/a"] = [(500, {})] * 9
    before = clock.now
    with pytest.raises(UnansweredError, match=f"{server.url}/a: .*500"):
        read_politely(f"{server.url}/a", 100, PACE)
    assert len(server.requests) == MAX_ATTEMPTS
    assert 7.5 <= clock.now - before <= 15 + MAX_ATTEMPTS / PACE.requests_per_s


def test_server_that_asks_for_too_long_is_not_waited_for(server, clock):
    server.refusals["/a"] = [(503, {"Retry-After": "86400"})]
    before = clock.now
    with pytest.raises(
        UnansweredError, match="asks to wait for 86400 seconds; 600 are waited at most: run the job again"
    ):
        read_politely(f"{server.url}/a", 100, PACE)
    assert clock.now == before and len(server.requests) == 1


def test_refusals_are_not_repeated(server):
    server.refusals["/a"] = [(403, {}), (400, {})]
    with pytest.raises(AccessDeniedError):
        read_politely(f"{server.url}/a", 100, PACE)
    with pytest.raises(StorageError, match="400"):
        read_politely(f"{server.url}/a", 100, PACE)
    assert len(server.requests) == 2


def test_threads_get_no_more_slots_than_there_are_connections(clock):
    active, most, lock, two_active = [0], [0], threading.Lock(), threading.Event()

    def ask():
        with request_pace.take_turn("https://one.example.org", PACE):
            with lock:
                active[0] += 1
                most[0] = max(most[0], active[0])
                if active[0] == 2:
                    two_active.set()
            two_active.wait(20)
            with lock:
                active[0] -= 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]
