"""The commit protocol as a model: drivers on a bucket that crashes, delays, repeats and loses answers.

Every driver runs the real code in a thread of its own, which stops at each request to storage until the state machine
lets it continue; so the state machine decides how the requests of the drivers are interleaved, and what becomes of
each one.
"""

import json
import math
import threading

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.config import OutputLayout
from pipeline.errors import PipelineError
from pipeline.maintenance import find_orphans, remove_orphans, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import (
    OWNER_FILE,
    Problem,
    ShardSet,
    compact_run,
    extend_plan,
    finalize_run,
    iter_committed_rows,
    list_committed_shards,
    read_manifest,
    read_plan,
    requeue_shards,
    segment_files,
)
from pipeline.runs.manifest import parse_manifest_file
from pipeline.sources import file_of, parquet_column, read_photo
from pipeline.stages import shard_scheduler
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.storage import Entry, prefetch, probes, resolve, s3_store, sha256_hex, write
from tests.support.committed_files import iter_commits, read_by_shard
from tests.support.crashing_workers import OUTPUT, RUN, CrashingWorkerPool
from tests.support.faulty_bucket import Crash, Fate, FaultyBucket, InlineExecutor
from tests.support.small_segments import use_small_segments

ENTRIES = [Entry(f"s3://model/in/{number}", f"{number}.png", 1, "", 1.0) for number in range(5)]


def drive(layout, entries, dies=lambda: False):
    """What a driver does: plan, apply, sum up."""
    extend_plan(RUN, entries, 2)
    committed = list_committed_shards(RUN)
    uncommitted = [shard for shard in read_plan(RUN) if shard.number not in committed]
    scheduler = ShardScheduler(RUN, CrashingWorkerPool(layout, dies), NullProgress())
    return finalize_run(RUN, scheduler.run_shards(uncommitted), 0.0)


class Driver(threading.Thread):
    """A driver that waits at each request for the fate that the state machine gives it."""

    def __init__(self, layout, entries, deaths):
        super().__init__(daemon=True)
        self.layout, self.entries, self.deaths = layout, entries, list(deaths)
        self.fate, self.over = Fate.DONE, False
        self.may_continue, self.is_waiting = threading.Semaphore(0), threading.Semaphore(0)
        self.error = None

    def work(self):
        drive(self.layout, self.entries, lambda: bool(self.deaths) and self.deaths.pop())

    def run(self):
        try:
            self.work()
        except (Crash, PipelineError):
            pass  # the driver was killed, or has reported why it stopped
        except BaseException as error:
            self.error = error
        self.over = True
        self.is_waiting.release()

    def ask(self):
        self.is_waiting.release()
        self.may_continue.acquire()
        return self.fate

    def step(self, fate):
        self.fate = fate
        self.may_continue.release()
        self.is_waiting.acquire()


class Compactor(Driver):
    """A compaction beside the drivers, without a lease."""

    acquiring, silent, wakes_at = False, True, 0.0

    def __init__(self):
        super().__init__(None, (), ())

    def work(self):
        compact_run(RUN)


class CommitProtocol(RuleBasedStateMachine):
    """Up to three drivers on one run."""

    n_faults = 0  # requests with another fate than to be done
    has_conditional_create, has_etags, layout = True, True, OutputLayout.FILES

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.bucket, self.drivers = FaultyBucket(self.has_etags), []
        use_small_segments(self.patch)
        self.bucket.ask = self._ask
        self.patch.setattr(resolve, "resolve_filesystem", lambda uri: (self.bucket, uri.removeprefix("s3://")))
        self.patch.setattr(s3_store, "fetch_page", lambda fs, parameters: fs.list_page(parameters))
        self.patch.setattr(probes, "_PROBE_RESULTS", {"model": self.has_conditional_create})
        self.patch.setattr(shard_scheduler, "ThreadPoolExecutor", InlineExecutor)
        self.patch.setattr(prefetch, "ThreadPoolExecutor", InlineExecutor)
        self.patch.setattr("pipeline.storage.retries._sleep", lambda _: None)
        self.entries, self.commits, self.written = ENTRIES[:4], {}, {}

    def _ask(self):
        driver = threading.current_thread()
        return driver.ask() if isinstance(driver, Driver) else Fate.DONE

    @initialize()
    def run_exists(self):
        output = {"uri": OUTPUT, "layout": self.layout}
        job = {"input": "s3://model/in", "output": output, "map": "s3://model/map"}
        write(RUN.run_json, json.dumps({"job": job}).encode())
        write("s3://model/map", b"a map")
        write(f"{OUTPUT}/{OWNER_FILE}", json.dumps({"run": RUN.uri}).encode())

    @precondition(lambda self: len(self.drivers) < 3)
    @rule(deaths=st.lists(st.booleans(), max_size=4))
    def start_driver(self, deaths):
        driver = Driver(self.layout, self.entries, deaths)
        driver.start()
        driver.is_waiting.acquire()
        self._keep(driver)

    @precondition(lambda self: len(self.drivers) < 3)
    @rule()
    def start_compaction(self):
        compactor = Compactor()
        compactor.start()
        compactor.is_waiting.acquire()
        self._keep(compactor)

    @precondition(lambda self: self.drivers)
    @rule(which=st.integers(0, 2), requests=st.integers(1, 12), fate=st.sampled_from(Fate))
    def step_driver(self, which, requests, fate):
        """Let a driver make some requests that succeed, and one with the given fate."""
        driver = self.drivers[which % len(self.drivers)]
        for _ in range(requests - 1):
            if not driver.over:
                driver.step(Fate.DONE)
        if not driver.over:
            driver.step(fate)
            type(self).n_faults += fate is not Fate.DONE
        self.drivers.remove(driver)
        self._keep(driver)

    @precondition(lambda self: self.bucket.late)
    @rule(which=st.integers(0, 9))
    def complete_late_request(self, which):
        act = self.bucket.late.pop(which % len(self.bucket.late))
        try:
            act()
        except FileExistsError:
            return

    @precondition(lambda self: len(self.entries) == 4)
    @rule()
    def add_photo(self):
        self.entries = ENTRIES

    @precondition(lambda self: not self.drivers)
    @rule()
    def lose_and_requeue_result(self):
        """Without any driver at work, as late writes must be over; so is any request that is a day old."""
        self.bucket.late.clear()
        results = self._list_results()
        committed_before = list_committed_shards(RUN)
        if results:
            del self.bucket.objects[min(results)]
            parquet_column._read_row_group.cache_clear()  # another process verifies
        findings = verify_run(RUN, NullProgress()).findings
        assert {finding.problem for finding in findings} <= {Problem.MISSING, Problem.RETRIABLE}
        requeued = requeue_shards(RUN, findings)
        assert requeued.shards == len(committed_before) - len(list_committed_shards(RUN))
        self.commits = {
            number: self.bucket.objects[f"model/run/commits/{number:05d}.json"] for number in list_committed_shards(RUN)
        }

    @precondition(lambda self: not self.drivers)
    @rule()
    def collect_garbage(self):
        """What is not committed goes, and the results that are stay; without any driver at work, as above."""
        self.bucket.late.clear()
        list(remove_orphans(find_orphans(RUN, math.inf)))
        found = list(iter_committed_rows(RUN))
        rows = [row for rows in found for row in rows.table.to_pylist() if row["output_uri"]]
        named = {file_of(row["output_uri"]).removeprefix("s3://") for row in rows}
        folded = ShardSet(shard for rows in found if rows.segment for shard in rows.shards.tolist())
        assert {path.rpartition("/")[2] for path in self.bucket.objects if "/run/manifest/" in path} == {
            file.name for shard, files in iter_commits(RUN) if shard not in folded for file in files
        }
        assert {path.rpartition("/")[2] for path in self.bucket.objects if "/run/segments/" in path} == {
            name for rows in found if rows.segment for name in segment_files(rows.segment)
        }
        if self.layout is OutputLayout.FILES:  # of a driver that was killed before its manifest file, nobody knows more
            assert named <= set(self._list_results())
        else:
            assert named == set(self._list_results())

    def _list_results(self):
        return [path for path in self.bucket.objects if path.startswith("model/out/") and not path.endswith(OWNER_FILE)]

    def _keep(self, driver):
        if driver.error is not None:
            raise driver.error
        if not driver.over:
            self.drivers.append(driver)

    @invariant()
    def committed_shards_are_complete_and_stay(self):
        planned = {shard.number: [entry.key for entry in shard.entries] for shard in read_plan(RUN)}
        seen = {}
        self.written |= {path: data for path, data in self.bucket.objects.items() if "/run/manifest/" in path}
        read_rows = read_by_shard(RUN)
        assert read_rows.keys() == list_committed_shards(RUN), "each committed shard once"
        for number, files in iter_commits(RUN):
            seen[number] = self.bucket.objects[f"model/run/commits/{number:05d}.json"]
            paths = [RUN.manifest(file.name) for file in files]
            tables = [parse_manifest_file(path, self.written[path.removeprefix("s3://")]) for path in paths]
            rows = pa.concat_tables(tables).to_pylist()
            assert read_rows[number] == rows, "the rows of the commit, wherever they are"
            assert sorted(row["file_name"] for row in rows) == sorted(planned[number]), "one row for each input"
            for row in rows:
                if row["status"] == "ok":
                    assert sha256_hex(read_photo(row["output_uri"])) == row["output_sha256"]
        assert self.has_all_earlier(seen), "a commit is never lost or changed"
        self.commits = seen
        if "model/run/_SUCCESS.json" in self.bucket.objects:
            totals = json.loads(self.bucket.objects["model/run/_SUCCESS.json"])
            assert totals["inputs"] == totals["ok"] + totals["failed"] <= sum(map(len, planned.values()))

    def has_all_earlier(self, commits):
        return commits.items() >= self.commits.items()

    def drive_without_faults(self):
        return drive(self.layout, self.entries)

    def teardown(self):
        """Whatever happened, one driver without faults finishes the run, and a second one has nothing to do."""
        try:
            for driver in self.drivers:
                while not driver.over:
                    driver.step(Fate.CRASH_BEFORE)
            if RUN.run_json.removeprefix("s3://") in self.bucket.objects:
                result = self.drive_without_faults()
                assert result.complete and result.inputs == len(self.entries)
                names = [row["file_name"] for row in read_manifest(RUN).to_pylist()]
                assert sorted(names) == sorted(entry.key for entry in self.entries)
                self.committed_shards_are_complete_and_stay()
                assert self.drive_without_faults().done_now == 0
        finally:
            self.patch.undo()


SETTINGS = settings(max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))


def run_many_examples(machine, examples, record_fault, fault):
    """Run many examples of a model, and record how many faults they had."""
    machine.n_faults = 0
    with record_fault(fault, has_rows=False) as tally:
        run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=examples, database=None))
        tally.injected = machine.n_faults
