"""Events as a PREMIS 3.0 document (https://www.loc.gov/standards/premis/v3/)."""

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from pipeline.escaping import escape
from pipeline.provenance.photo_event import EventFile, EventOutcome, EventType, PhotoEvent, make_agent_id

NAMESPACE = "http://www.loc.gov/premis/v3"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_VOCABULARY = "http://id.loc.gov/vocabulary/preservation/"
_EVENT_TYPE_URIS = {EventType.MODIFICATION: "eventType/mod", EventType.REPLICATION: "eventType/rep"}
_OUTCOME_URIS = {EventOutcome.SUCCESS: "eventOutcome/suc", EventOutcome.FAIL: "eventOutcome/fai"}
_UNKNOWN = "unknown"  # a file must have a format, and an event a time
_NOT_IN_XML = re.compile("[\ufffe\uffff]")  # what `escape` leaves and XML 1.0 excludes


def to_premis(marker: str, events: Sequence[PhotoEvent]) -> bytes:
    """Return a document with the events, their files and the programs that took part.

    Args:
        marker: text of a comment at the start.
        events: the events.
    """
    root = ET.Element("premis:premis", {"xmlns:premis": NAMESPACE, "xmlns:xsi": _XSI, "version": "3.0"})
    root.extend(_iter_objects(events))  # the schema has all objects before the events, and these before the agents
    root.extend(_make_event(event) for event in events)
    root.extend(_iter_agents(events))
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {marker} -->\n{body}\n'.encode()


def _iter_objects(events: Iterable[PhotoEvent]) -> Iterable[ET.Element]:
    """Yield each file once, though several rows may have the same source."""
    sources = {event.source.id: _make_object(event.source, None) for event in events}
    results = {event.result.id: _make_object(event.result, event) for event in events if event.result}
    return (sources | results).values()


def _make_object(file: EventFile, made_by: PhotoEvent | None) -> ET.Element:
    """Return a file, with its derivation if it is the result of an event."""
    element = ET.Element("premis:object", {"xsi:type": "premis:file"})
    _add_identifier(element, "objectIdentifier", file.id)
    characteristics = _add(element, "objectCharacteristics")
    if file.sha256:
        fixity = _add(characteristics, "fixity")
        _add(fixity, "messageDigestAlgorithm", "SHA-256")
        _add(fixity, "messageDigest", file.sha256)
    if file.size is not None:
        _add(characteristics, "size", str(file.size))
    designation = _add(_add(characteristics, "format"), "formatDesignation")
    _add(designation, "formatName", file.format or _UNKNOWN)
    if made_by is None:
        _add(element, "originalName", file.name)
    location = _add(_add(element, "storage"), "contentLocation")
    _add(location, "contentLocationType", "URI")
    _add(location, "contentLocationValue", file.uri)
    if made_by is not None:
        relationship = _add(element, "relationship")
        _add(relationship, "relationshipType", "derivation")
        _add(relationship, "relationshipSubType", "has source")
        _add_identifier(relationship, "relatedObjectIdentifier", made_by.source.id)
        _add_identifier(relationship, "relatedEventIdentifier", made_by.id)
    return element


def _make_event(event: PhotoEvent) -> ET.Element:
    element = ET.Element("premis:event")
    _add_identifier(element, "eventIdentifier", event.id)
    _add(element, "eventType", event.type, value_uri=_EVENT_TYPE_URIS[event.type])
    _add(element, "eventDateTime", event.time or _UNKNOWN)
    if event.settings:
        _add(_add(element, "eventDetailInformation"), "eventDetail", _join(event.settings.items()))
    outcome = _add(element, "eventOutcomeInformation")
    _add(outcome, "eventOutcome", event.outcome, value_uri=_OUTCOME_URIS[event.outcome])
    untouched = ("untouched", True if event.untouched else None)
    remarks = (
        ("status", event.status),
        untouched,
        ("error_code", event.error_code),
        ("error_message", event.error_message),
    )
    _add(_add(outcome, "eventOutcomeDetail"), "eventOutcomeDetailNote", _join(remarks))
    for agent_id, _, _ in _agents_of(event):
        _add_identifier(element, "linkingAgentIdentifier", agent_id, role="executing program")
    _add_identifier(element, "linkingObjectIdentifier", event.source.id, role="source")
    if event.result:
        _add_identifier(element, "linkingObjectIdentifier", event.result.id, role="outcome")
    return element


def _iter_agents(events: Iterable[PhotoEvent]) -> Iterable[ET.Element]:
    for agent_id, name, version in sorted({agent for event in events for agent in _agents_of(event)}):
        element = ET.Element("premis:agent")
        _add_identifier(element, "agentIdentifier", agent_id)
        _add(element, "agentName", name)
        _add(element, "agentType", "software")
        if version:
            _add(element, "agentVersion", version)
        yield element


def _agents_of(event: PhotoEvent) -> list[tuple[str, str, str]]:
    """Return identifier, name and version of the programs that took part in an event."""
    agents = [(make_agent_id("deepot", event.software), "deepot", event.software)]
    if event.restorer:
        agents.append((make_agent_id("restorer", event.restorer), event.restorer, ""))
    return agents


def _join(values: Iterable[tuple[str, object]]) -> str:
    return "; ".join(f"{name}={value}" for name, value in values if value is not None)


def _add_identifier(parent: ET.Element, name: str, value: str, role: str = "") -> None:
    """Add an identifier; its parts begin with its name, and a link has the role of what it leads to."""
    element = _add(parent, name)
    _add(element, f"{name}Type", "UUID")
    _add(element, f"{name}Value", value)
    if role:
        _add(element, name.replace("Identifier", "Role"), role)


def _add(parent: ET.Element, name: str, text: str = "", value_uri: str = "") -> ET.Element:
    """Add an element of the PREMIS namespace, with its text and the URI of the term that this is."""
    element = ET.SubElement(parent, f"premis:{name}", {"valueURI": _VOCABULARY + value_uri} if value_uri else {})
    if text:
        element.text = _NOT_IN_XML.sub(lambda match: ascii(match[0])[1:-1], escape(text))
    return element
