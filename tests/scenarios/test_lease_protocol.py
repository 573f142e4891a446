"""The commit protocol on storage that cannot decide between two drivers, with a lease and a fake clock.

Unlike in the model without a lease, requests are over within two seconds or never, those of a driver that falls silent
fail, and all drivers plan the same photos. A driver that falls silent during a create may overwrite the commit of
another driver; both commits are complete.
"""

import json
import threading
from contextlib import suppress
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from pipeline.config import OutputLayout
from pipeline.errors import PipelineError
from pipeline.runs import hold_lease
from pipeline.runs import lease as lease_module
from tests.support.commit_model import RUN, SETTINGS, CommitProtocol, Driver, drive, run_many_examples
from tests.support.faulty_bucket import Crash, Fate


class LeasedDriver(Driver):
    """A driver that acquires the lease; once killed, it makes no further request.

    Attributes:
        acquiring: whether it still tries to get the lease.
        wakes_at: the time until which it sleeps.
        silent: whether it has been silent for so long that another driver may have the run.
        next_fails: whether its next request fails.
        dead: whether it was killed.
    """

    acquiring, wakes_at, silent, next_fails, dead = True, 0.0, False, False, False

    def work(self):
        with hold_lease(RUN):
            self.acquiring = False
            super().work()

    def ask(self):
        if self.dead:
            return Fate.CRASH_BEFORE
        fate = super().ask()
        self.dead = fate in (Fate.CRASH_BEFORE, Fate.CRASH_AFTER)
        fails, self.next_fails = self.next_fails, False
        return Fate.REFUSED if fails and not self.dead else fate


class FakeClock:
    """A clock that the state machine moves; a driver that sleeps waits until it has moved far enough."""

    now = 1000.0

    def time(self):
        return self.now

    def sleep(self, seconds):
        driver = threading.current_thread()
        if not isinstance(driver, LeasedDriver):
            self.now += seconds
            return
        driver.wakes_at = self.now + seconds
        while self.now < driver.wakes_at:
            if driver.ask() in (Fate.CRASH_BEFORE, Fate.CRASH_AFTER):
                raise Crash


class LeasesByThread:
    """The held leases, of each thread as if it were a process."""

    def __init__(self):
        self.held = {}

    def __contains__(self, uri):
        return threading.current_thread() in self.held

    def __setitem__(self, uri, value):
        self.held[threading.current_thread()] = value

    def get(self, uri):
        return self.held.get(threading.current_thread())

    def pop(self, uri, _):
        return self.held.pop(threading.current_thread(), None)


class IdleThread:
    """Takes the place of the thread that sends heartbeats: the state machine sends them."""

    def __init__(self, **_):
        self.start = self.join = lambda: None


class LeaseProtocol(CommitProtocol):
    """Up to three drivers on one run, of which one has the lease."""

    n_faults, has_conditional_create = 0, False
    add_photo = None

    def __init__(self):
        super().__init__()
        self.clock, self.leases = FakeClock(), LeasesByThread()
        self.patch.setattr(lease_module, "time", self.clock)
        self.patch.setattr(lease_module, "_HELD_LEASES", self.leases)
        self.patch.setattr(lease_module, "threading", SimpleNamespace(Event=threading.Event, Thread=IdleThread))

    def _advance(self, seconds):
        """Move the clock: all requests are over by then, and drivers that are not silent send a heartbeat."""
        for driver in list(self.drivers):
            while driver.acquiring and not (self.clock.now < driver.wakes_at or driver.over):
                driver.step(Fate.DONE)
        self.bucket.late.clear()
        self.clock.now += seconds
        for driver in self.drivers:
            if not driver.silent:
                self._send_heartbeat(driver)
        for driver in list(self.drivers):
            self.drivers.remove(driver)
            self._keep(driver)

    def _send_heartbeat(self, driver):
        if driver in self.leases.held:
            with suppress(PipelineError):
                self.leases.held[driver].heartbeat()

    def _settle(self):
        """Let every driver that wants the lease get it or be refused."""
        for seconds in (3.0, 19.0, 19.0, 3.0):
            self._advance(seconds)
        for driver in self.drivers:
            while driver.acquiring and not driver.over:
                driver.step(Fate.DONE)
        self._advance(0.0)

    @precondition(lambda self: len(self.drivers) < 3)
    @rule(deaths=st.lists(st.booleans(), max_size=4), at_once=st.booleans())
    def start_driver(self, deaths, at_once):
        """Start a driver, much later if no other one is at work."""
        if not self.drivers:
            self._advance(999.0)
        driver = LeasedDriver(self.layout, self.entries, deaths)
        driver.start()
        driver.is_waiting.acquire()
        self._keep(driver)
        if at_once:
            self._settle()

    @precondition(lambda self: self.drivers)
    @rule(seconds=st.sampled_from([1.0, 3.0, 19.0]))
    def advance_clock(self, seconds):
        self._advance(seconds)

    @precondition(lambda self: any(not driver.acquiring for driver in self.drivers))
    @rule(which=st.integers(0, 2), another=st.booleans())
    def silence_driver(self, which, another):
        """Let a driver fall silent; another one may start before it wakes."""
        driver = self.drivers[which % len(self.drivers)]
        driver.silent = driver.next_fails = True
        type(self).n_faults += 1
        for _ in range(7):
            self._advance(19.0)
        if another and len(self.drivers) < 3:
            self.start_driver([], True)

    @precondition(lambda self: any(driver.silent for driver in self.drivers))
    @rule()
    def wake_silent_drivers(self):
        for driver in self.drivers:
            if driver.silent:
                self._send_heartbeat(driver)
                lease = self.leases.held.get(driver)
                driver.silent = lease is None or self._read_holder() != lease.driver_id

    @invariant()
    def at_most_one_driver_works(self):
        at_work = [driver for driver in self.drivers if not (driver.acquiring or driver.silent)]
        assert len(at_work) <= 1
        if at_work and at_work[0] in self.leases.held:
            driver_id = self.leases.held[at_work[0]].driver_id
            assert self._read_holder() in (None, driver_id), "None if a driver fell silent while it removed its own"

    def _read_holder(self):
        record = self.bucket.objects.get("model/run/driver.json")
        return record and json.loads(record)["driver"]

    def has_all_earlier(self, commits):
        return commits.keys() >= self.commits.keys()

    def drive_without_faults(self):
        self.clock.now += 999
        with hold_lease(RUN):
            return drive(self.layout, self.entries)


class WebDatasetLeaseProtocol(LeaseProtocol):
    """Drivers whose workers write one tar an attempt."""

    layout = OutputLayout.WEBDATASET


class ParquetLeaseProtocol(LeaseProtocol):
    """Drivers whose workers write one Parquet file an attempt."""

    layout = OutputLayout.PARQUET


MACHINES = [LeaseProtocol, WebDatasetLeaseProtocol, ParquetLeaseProtocol]


@pytest.mark.parametrize("machine", MACHINES)
def test_lease_protocol_with_silent_drivers_loses_and_doubles_nothing(machine):
    run_state_machine_as_test(machine, settings=SETTINGS)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("machine", "examples"), list(zip(MACHINES, (60, 20, 20), strict=True)))
def test_lease_protocol_with_silent_drivers_for_many_examples(machine, examples, record_fault):
    fault = "the commit protocol with a lease: the same requests, and drivers that fall silent"
    run_many_examples(machine, examples, record_fault, fault)
