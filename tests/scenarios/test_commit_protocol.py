"""The commit protocol holds whatever becomes of the drivers and of their requests to storage."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from pipeline.config import OutputLayout
from tests.support.commit_model import SETTINGS, CommitProtocol, run_many_examples


class WebDatasetProtocol(CommitProtocol):
    """Drivers whose workers write one tar an attempt."""

    n_faults, layout = 0, OutputLayout.WEBDATASET


class ParquetProtocol(CommitProtocol):
    """Drivers whose workers write one Parquet file an attempt."""

    n_faults, layout = 0, OutputLayout.PARQUET


class ProtocolWithoutEtags(CommitProtocol):
    """Drivers on storage whose listings show nothing of the contents, so that readers of segments read the commits."""

    n_faults, has_etags = 0, False


MACHINES = [CommitProtocol, WebDatasetProtocol, ParquetProtocol, ProtocolWithoutEtags]


@pytest.mark.parametrize("machine", MACHINES)
def test_commit_protocol_with_faulty_requests_loses_and_doubles_nothing(machine):
    run_state_machine_as_test(machine, settings=SETTINGS)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("machine", "examples"), list(zip(MACHINES, (80, 40, 40, 40), strict=True)))
def test_commit_protocol_with_faulty_requests_for_many_examples(machine, examples, record_fault):
    fault = "the commit protocol: requests refused, lost, late, doubled, or the driver's last"
    run_many_examples(machine, examples, record_fault, fault)
