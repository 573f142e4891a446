"""The lease on storage that cannot decide between two drivers, by a fake clock."""

import json
import threading

import pytest

from pipeline.errors import RunError, StorageError
from pipeline.runs import lease as lease_module
from pipeline.runs.commits import commit, list_committed_shards
from pipeline.runs.lease import HEARTBEAT_S, LEASE_TTL_S, Lease, check_lease, hold_lease
from pipeline.runs.paths import RunPaths
from pipeline.storage import delete, list_names, read, write
from tests.support.fake_clock import FakeClock


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(lease_module, "time", clock)
    return clock


@pytest.fixture
def run(monkeypatch, tmp_path, clock):
    """A run on storage without conditional create."""
    monkeypatch.setattr(lease_module, "supports_conditional_create", lambda _: False)
    return RunPaths(str(tmp_path / "run"))


def write_other_lease(run, time):
    """Write the lease of another driver; returns its bytes."""
    data = json.dumps({"driver": "x", "host": "elsewhere", "process": 1, "time": time}).encode()
    write(run.lease, data)
    return data


def send_heartbeat(run):
    lease_module._HELD_LEASES[run.uri].heartbeat()


def test_hold_lease_refuses_a_second_driver_while_the_first_one_lives(run, caplog, monkeypatch):
    with hold_lease(run), hold_lease(run):
        monkeypatch.setattr(lease_module, "_HELD_LEASES", {})  # as in another process
        with pytest.raises(RunError, match="has another driver, process"), hold_lease(run):
            pass
    assert "only this driver commits" in caplog.text


def test_hold_lease_removes_its_file_at_the_end(run):
    with hold_lease(run):
        assert list_names(run.uri) == {"driver.json"}
    assert list_names(run.uri) == set()


def test_hold_lease_takes_over_from_a_driver_without_heartbeats(run, clock):
    write_other_lease(run, clock.now - LEASE_TTL_S - 1)
    with hold_lease(run):
        assert max(clock.slept) > HEARTBEAT_S, "it watches whether the other driver sends a heartbeat"
        assert json.loads(read(run.lease))["driver"] != "x"


def test_hold_lease_refuses_while_the_last_heartbeat_is_recent(run, clock):
    data = write_other_lease(run, clock.now - LEASE_TTL_S + 7)
    with pytest.raises(RunError, match=r"last heard from 113 s ago.* try again in 7 s"), hold_lease(run):
        pass
    assert read(run.lease) == data


def test_hold_lease_refuses_where_a_driver_with_a_slow_clock_sends_heartbeats(run, clock):
    """By its time stamps it has been silent for long, but it writes the lease again."""
    write_other_lease(run, clock.now - 999)
    clock.on_sleep = lambda seconds: write_other_lease(run, clock.now - 999 + seconds)
    message = "has another driver, process 1 on elsewhere, last heard from 0 s ago"
    with pytest.raises(RunError, match=message), hold_lease(run):
        pass


def test_hold_lease_refuses_a_file_that_is_not_a_lease(run):
    write(run.lease, b"[]")
    with pytest.raises(RunError, match="is not a lease"), hold_lease(run):
        pass


def test_acquire_by_two_drivers_at_the_same_moment_succeeds_for_the_last_writer(run, clock, monkeypatch):
    """Both have found no lease; the second one writes while the first one waits for such a case."""
    first, second = Lease(run), Lease(run)

    def acquire_second(_):
        clock.on_sleep = lambda _: None
        with monkeypatch.context() as patch:
            real_read = second._read
            reads = iter([lambda: None, lambda: None])  # as it was before the first one wrote
            patch.setattr(second, "_read", lambda: next(reads, real_read)())
            second.acquire()

    clock.on_sleep = acquire_second
    with pytest.raises(RunError, match="has another driver"):
        first.acquire()
    second.check()
    assert json.loads(read(run.lease))["driver"] == second.driver_id


def test_heartbeat_renews_the_lease(run, clock):
    with hold_lease(run):
        before = json.loads(read(run.lease))
        clock.now += HEARTBEAT_S
        send_heartbeat(run)
        after = json.loads(read(run.lease))
        assert after == before | {"time": clock.now}
        assert after["time"] > before["time"]


def test_hold_lease_sends_heartbeats_whatever_storage_answers(run, monkeypatch):
    answers, sent_after_error = iter([StorageError("not now"), RunError("not now")]), threading.Event()

    def heartbeat(_):
        if (error := next(answers, None)) is not None:
            raise error
        sent_after_error.set()

    monkeypatch.setattr(lease_module, "HEARTBEAT_S", 0.001)
    monkeypatch.setattr(Lease, "heartbeat", heartbeat)
    with hold_lease(run):
        assert sent_after_error.wait(200)


@pytest.mark.parametrize("sends_heartbeat", [True, False])
def test_a_driver_whose_lease_was_taken_over_neither_commits_nor_overwrites_it(run, clock, sends_heartbeat):
    """It reads the lease before each heartbeat, and before a commit where it has not read it for long."""
    with hold_lease(run):
        data = write_other_lease(run, clock.now)
        clock.now += HEARTBEAT_S if sends_heartbeat else 2 * HEARTBEAT_S + 1
        if sends_heartbeat:
            send_heartbeat(run)
        assert read(run.lease) == data
        with pytest.raises(RunError, match=r"taken over by another driver \(now process 1 on elsewhere\)"):
            commit(run, 0, [])
        with pytest.raises(RunError, match="taken over by another driver"), hold_lease(run):
            pass
    assert read(run.lease) == data
    assert list_committed_shards(run) == set()


def test_a_driver_whose_lease_is_missing_does_not_commit(run):
    """Another driver held it in between."""
    with hold_lease(run):
        delete(run.lease)
        send_heartbeat(run)
        assert list_names(run.uri) == set()
        with pytest.raises(RunError, match="which has ended since, or the lease was removed by hand"):
            commit(run, 0, [])


def test_check_lease_asks_storage_only_after_two_heartbeats(run, clock, monkeypatch):
    with hold_lease(run):
        with monkeypatch.context() as patch:
            patch.setattr(lease_module, "read", None)
            clock.now += HEARTBEAT_S
            check_lease(run)
        write_other_lease(run, clock.now)
        clock.now += HEARTBEAT_S
        with pytest.raises(RunError, match="taken over"):
            check_lease(run)


def test_hold_lease_takes_none_where_storage_decides(tmp_path):
    run = RunPaths(str(tmp_path / "run"))
    with hold_lease(run):
        assert list_names(run.uri) == set()


AHEAD_S = [0.5, 2 * LEASE_TTL_S, 86_400.0, 1e12]


@pytest.mark.parametrize("ahead_s", AHEAD_S)
def test_hold_lease_takes_over_from_a_silent_driver_whose_clock_is_ahead(run, clock, ahead_s):
    """It is watched for as long as any driver may be silent, and no longer."""
    began = clock.now
    write_other_lease(run, clock.now + ahead_s)
    with hold_lease(run):
        assert json.loads(read(run.lease))["driver"] != "x"
    assert LEASE_TTL_S <= clock.now - began < LEASE_TTL_S + 2 * HEARTBEAT_S


@pytest.mark.parametrize("ahead_s", AHEAD_S)
@pytest.mark.parametrize("heartbeats", range(1, 4))
def test_hold_lease_refuses_while_a_driver_whose_clock_is_ahead_sends_heartbeats(run, clock, ahead_s, heartbeats):
    """Also where storage has accepted none of its heartbeats for a while."""
    write_other_lease(run, clock.now + ahead_s)

    def write_late(_):
        if clock.now - began > heartbeats * HEARTBEAT_S:
            write_other_lease(run, clock.now + ahead_s * 1.5)

    began, clock.on_sleep = clock.now, write_late
    with pytest.raises(RunError, match=r"has another driver.*last heard from 0 s ago.*try again in 120 s"):
        Lease(run).acquire()
    assert clock.now - began <= LEASE_TTL_S


def test_acquire_takes_a_lease_that_is_released_while_it_is_watched(run, clock):
    write_other_lease(run, clock.now + 999)
    clock.on_sleep = lambda _: delete(run.lease) if b'"x"' in read_or_nothing(run) else None
    began = clock.now
    Lease(run).acquire()
    assert clock.now - began < LEASE_TTL_S


def read_or_nothing(run):
    return read(run.lease) if list_names(run.uri) else b""


def test_acquire_at_the_same_moment_as_a_driver_with_a_slow_clock_is_refused(run, clock):
    """Whoever wrote last has the lease, whatever time it wrote."""
    clock.on_sleep = lambda _: write_other_lease(run, clock.now - 999)
    with pytest.raises(RunError, match="has another driver"):
        Lease(run).acquire()


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_hold_lease_refuses_a_lease_without_a_time(run, time):
    write_other_lease(run, time)
    with pytest.raises(RunError, match="is not a lease"), hold_lease(run):
        pass


def test_check_lease_asks_storage_after_the_clock_was_set_back(run, clock):
    with hold_lease(run):
        clock.now -= 3600
        write_other_lease(run, clock.now)
        with pytest.raises(RunError, match="taken over"):
            check_lease(run)
