"""The commit protocol on storage that cannot decide between two drivers, with its lease and a clock.

Other than in the model without a lease, requests are over within two seconds or never, those of a driver that falls
silent fail, and all drivers plan the same photos. A driver that falls silent within a create may write over the commit
of another one; both are whole.
"""

import json
import threading
from contextlib import suppress
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from pipeline.errors import PipelineError
from pipeline.runs import lease as leases
from pipeline.runs.lease import hold_lease
from tests.scenarios.test_commit_protocol import RUN, SETTINGS, CommitProtocol, Crash, Driver, Fate, drive, for_long


class LeasedDriver(Driver):
    """A driver that takes the lease; killed, it makes no request any more.

    Attributes:
        taking: it has not got the lease yet.
        wakes: it waits for that time.
        silent: it has been so for so long that another may have the run.
    """

    taking, wakes, silent, cut, dead = True, 0.0, False, False, False

    def work(self):
        with hold_lease(RUN):
            self.taking = False
            super().work()

    def ask(self):
        if self.dead:
            return Fate.CRASH_BEFORE
        fate = super().ask()
        self.dead = fate in (Fate.CRASH_BEFORE, Fate.CRASH_AFTER)
        cut, self.cut = self.cut, False
        return Fate.REFUSED if cut and not self.dead else fate


class Clock:
    """Passes when it is told to; who sleeps is stopped until then."""

    now = 1000.0

    def time(self):
        return self.now

    def sleep(self, seconds):
        driver = threading.current_thread()
        if not isinstance(driver, LeasedDriver):
            self.now += seconds
            return
        driver.wakes = self.now + seconds
        while self.now < driver.wakes:
            if driver.ask() in (Fate.CRASH_BEFORE, Fate.CRASH_AFTER):
                raise Crash


class OfThread:
    """What is held, each thread as if it were a process."""

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


class NoThread:
    """The machine says when a driver beats."""

    def __init__(self, **_):
        self.start = self.join = lambda: None


class LeaseProtocol(CommitProtocol):
    """Up to three drivers on one run, of which one has the lease."""

    met, decides = 0, False
    a_new_photo_arrives = None

    def __init__(self):
        super().__init__()
        self.clock, self.holders = Clock(), OfThread()
        self.patch.setattr(leases, "time", self.clock)
        self.patch.setattr(leases, "_HELD_LEASES", self.holders)
        self.patch.setattr(leases, "threading", SimpleNamespace(Event=threading.Event, Thread=NoThread))

    def _pass(self, seconds):
        """Requests are over by then, and who is not silent beats."""
        for driver in list(self.drivers):
            while driver.taking and not (self.clock.now < driver.wakes or driver.over):
                driver.step(Fate.DONE)
        self.bucket.late.clear()
        self.clock.now += seconds
        for driver in self.drivers:
            if not driver.silent:
                self._beat(driver)
        for driver in list(self.drivers):
            self.drivers.remove(driver)
            self._keep(driver)

    def _beat(self, driver):
        if driver in self.holders.held:
            with suppress(PipelineError):
                self.holders.held[driver].beat()

    def _settle(self):
        """Who wants the lease gets it, or is refused."""
        for seconds in (3.0, 19.0, 19.0, 3.0):
            self._pass(seconds)
        for driver in self.drivers:
            while driver.taking and not driver.over:
                driver.step(Fate.DONE)
        self._pass(0.0)

    @precondition(lambda self: len(self.drivers) < 3)
    @rule(deaths=st.lists(st.booleans(), max_size=4), at_once=st.booleans())
    def start(self, deaths, at_once):
        """A night later where nobody is at work."""
        if not self.drivers:
            self._pass(999.0)
        driver = LeasedDriver(self.entries, deaths)
        driver.start()
        driver.there.acquire()
        self._keep(driver)
        if at_once:
            self._settle()

    @precondition(lambda self: self.drivers)
    @rule(seconds=st.sampled_from([1.0, 3.0, 19.0]))
    def time_passes(self, seconds):
        self._pass(seconds)

    @precondition(lambda self: any(not driver.taking for driver in self.drivers))
    @rule(which=st.integers(0, 2), another=st.booleans())
    def one_falls_silent(self, which, another):
        """Another driver may come before it wakes."""
        driver = self.drivers[which % len(self.drivers)]
        driver.silent = driver.cut = True
        LeaseProtocol.met += 1
        for _ in range(7):
            self._pass(19.0)
        if another and len(self.drivers) < 3:
            self.start([], True)

    @precondition(lambda self: any(driver.silent for driver in self.drivers))
    @rule()
    def who_was_silent_wakes(self):
        for driver in self.drivers:
            if driver.silent:
                self._beat(driver)
                driver.silent = driver not in self.holders.held or self._note() != self.holders.held[driver].name

    @invariant()
    def one_driver_has_the_run(self):
        at_work = [driver for driver in self.drivers if not (driver.taking or driver.silent)]
        assert len(at_work) <= 1
        if at_work and at_work[0] in self.holders.held:
            held = self.holders.held[at_work[0]].name
            assert self._note() in (None, held), "none where a driver fell silent while it removed its own"

    def _note(self):
        note = self.bucket.objects.get("model/run/driver.json")
        return note and json.loads(note)["driver"]

    def stay(self, commits):
        return commits.keys() >= self.commits.keys()

    def drive(self):
        self.clock.now += 999
        with hold_lease(RUN):
            return drive(self.entries)


def test_the_lease_protocol():
    run_state_machine_as_test(LeaseProtocol, settings=SETTINGS)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_lease_protocol_for_long(record_fault):
    fault = "the commit protocol with a lease: the same requests, and drivers that fall silent"
    for_long(LeaseProtocol, 100, record_fault, fault)
