"""A mark, by which a result states that it was enhanced by an algorithm, and its properties as RDF."""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from pipeline.imageio.metadata.location import mentions_location, states_coordinates
from pipeline.imageio.metadata.metadata import MetadataPolicy

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMP_MM = "http://ns.adobe.com/xap/1.0/mm/"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
"""The term of IPTC's vocabulary of digital source types for media that an algorithm has changed."""
_PREFIXES = {
    "rdf": RDF,
    "xmpMM": XMP_MM,
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "Iptc4xmpExt": IPTC_EXT,
}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Mark:
    """What a result states about how it was made.

    Attributes:
        software: name and version of the program.
        parameters: what it did, as text.
        source_id: UUID of the file that the result was made from.
        result_id: UUID of the result.
        source_path: path, URI or name of the file that the result was made from; empty if it is not stated.
    """

    software: str
    parameters: str
    source_id: str
    result_id: str
    source_path: str = ""

    def apply_policy(self, policy: MetadataPolicy) -> "Mark":
        """Return the mark that a policy permits: a path that states coordinates stays only with `keep`."""
        path = self.source_path
        if policy is MetadataPolicy.KEEP or not (
            mentions_location(path.encode(errors="replace"))
            or any(states_coordinates(part) or states_coordinates(PurePosixPath(part).stem) for part in path.split("/"))
        ):
            return self
        return replace(self, source_path="")


@dataclass(frozen=True)
class SourceIds:
    """The identifiers that the XMP packet of a photo states; empty if it does not.

    Attributes:
        document: common to all versions and renditions of the document.
        instance: of one saved file.
        original: of the document that it was made from in the beginning.
    """

    document: str = ""
    instance: str = ""
    original: str = ""


def format_description(mark: Mark, source: SourceIds, about: str, *, with_history: bool) -> str:
    """Return the description element of a mark.

    By the rules of XMP for a document that is derived from another one (ISO 16684-1, media management), the result has
    identifiers of its own, refers to those of its source, and keeps the identifier of the original.

    Args:
        mark: the mark.
        source: the identifiers of the photo; where it has none, that of the mark takes their place.
        about: what the other descriptions of the packet are about.
        with_history: whether the history has to be created.
    """
    original = source.original or source.document
    properties = {
        "Iptc4xmpExt:DigitalSourceType": SOURCE_TYPE,
        "xmpMM:DocumentID": f"xmp.did:{mark.result_id}",
        "xmpMM:InstanceID": f"xmp.iid:{mark.result_id}",
        "xmpMM:OriginalDocumentID": original,
    }
    reference = {
        "stRef:documentID": source.document or f"xmp.did:{mark.source_id}",
        "stRef:instanceID": source.instance or f"xmp.iid:{mark.source_id}",
        "stRef:originalDocumentID": original,
        "stRef:filePath": mark.source_path,
    }
    history = f"<xmpMM:History><rdf:Seq>{format_history_item(mark)}</rdf:Seq></xmpMM:History>" if with_history else ""
    return (
        f"<rdf:Description{_declare(*_PREFIXES)} rdf:about={_quote(about)}{_attributes(properties)}>"
        f"<xmpMM:DerivedFrom{_attributes(reference)}/>{history}</rdf:Description>"
    )


def format_history_item(mark: Mark) -> str:
    """Return the event of a mark as an item of a history."""
    event = {
        "stEvt:action": "edited",
        "stEvt:instanceID": f"xmp.iid:{mark.result_id}",
        "stEvt:softwareAgent": mark.software,
        "stEvt:parameters": mark.parameters,
    }
    return f"<rdf:li{_declare('rdf', 'stEvt')}{_attributes(event)}/>"


def _declare(*prefixes: str) -> str:
    """Return the declarations of prefixes, which a packet may use for other namespaces."""
    return "".join(f' xmlns:{prefix}="{_PREFIXES[prefix]}"' for prefix in prefixes)


def _attributes(values: dict[str, str]) -> str:
    """Return attributes, without those that are empty."""
    return "".join(f" {name}={_quote(value)}" for name, value in values.items() if value)


def _quote(text: str) -> str:
    """Return the value of an attribute in ASCII, so that it fits into a packet of any encoding.

    Characters that XML cannot hold, such as control characters and lone surrogates, are percent-encoded.
    """
    legal = _NOT_IN_XML.sub(lambda found: quote(found[0].encode(errors="surrogatepass")), text)
    return quoteattr(legal).encode("ascii", "xmlcharrefreplace").decode()
