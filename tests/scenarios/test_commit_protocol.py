"""The commit protocol holds whatever becomes of the drivers and of their requests to storage."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.support.commit_model import SETTINGS, CommitProtocol, run_many_examples


def test_commit_protocol_with_faulty_requests_loses_and_doubles_nothing():
    run_state_machine_as_test(CommitProtocol, settings=SETTINGS)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_commit_protocol_with_faulty_requests_for_many_examples(record_fault):
    fault = "the commit protocol: requests refused, lost, late, doubled, or the driver's last"
    run_many_examples(CommitProtocol, 150, record_fault, fault)
