"""Collections of IIIF manifests: cycles, pages, broken manifests, and names that stay the same."""

import pytest
from iiif_prezi3 import Collection, Manifest

from pipeline.errors import StorageError
from tests.support.iiif_manifests import add_manifest, listed, read_all, validated


def test_collections_of_collections_are_followed_once_in_cycles_and_pages(iiif):
    for number in range(5):
        add_manifest(iiif, f"/m/{number}.json", [f"i{number}", f"j{number}"])
    top = Collection(id=f"{iiif.url}/top.json", label={"en": ["Top"]})
    for path in ("/m/3.json", "/m/1.json"):
        top.add_item_by_reference(Manifest(id=f"{iiif.url}{path}", label={"none": [path]}))
    document = validated(top)
    document["items"] += [
        {"type": "Collection", "id": f"{iiif.url}/sub.json", "label": {"none": ["x"]}},
        {"type": "Collection", "id": f"{iiif.url}/top.json", "label": {"none": ["a cycle"]}},
        {"type": "Collection", "id": "x", "items": [{"type": "Manifest", "id": f"{iiif.url}/m/0.json"}]},
    ]
    iiif.documents["/top.json"] = document
    iiif.documents["/sub.json"] = {
        "@type": "sc:Collection",
        "first": f"{iiif.url}/page1.json",
        "manifests": [{"@id": f"{iiif.url}/m/1.json", "@type": "sc:Manifest"}],
    }
    page = {"@type": "sc:Collection", "members": [{"@id": f"{iiif.url}/m/4.json", "@type": "sc:Manifest"}]}
    iiif.documents["/page1.json"] = page | {"next": {"@id": f"{iiif.url}/page2.json"}}
    iiif.documents["/page2.json"] = {
        "@type": "sc:Collection",
        "collections": [{"@id": f"{iiif.url}/top.json"}],
        "manifests": [f"{iiif.url}/m/2.json"],
        "next": f"{iiif.url}/page1.json",
    }
    host = iiif.url.removeprefix("http://")
    expected = [f"{host}/m/{n}.json/00000{i}-{k}{n}.jpg" for n in range(5) for i, k in ((1, "i"), (2, "j"))]
    entries = listed(iiif, "/top.json")
    assert [entry.key for entry in entries] == expected
    documents = [request for request in iiif.requests if request.endswith(".json")]
    assert len(documents) == len(set(documents)) == 4 + 5, "each document is read once"
    assert listed(iiif, "/top.json") == entries
    add_manifest(iiif, "/m/00.json", ["new"])
    iiif.documents["/top.json"]["items"].insert(0, {"type": "Manifest", "id": f"{iiif.url}/m/00.json"})
    assert {entry for entry in listed(iiif, "/top.json")} > set(entries), "a further manifest renames no photo"


def test_broken_manifests_of_a_collection_are_rows_and_others_are_read(iiif):
    add_manifest(iiif, "/good.json", ["g"])
    iiif.documents |= {"/html.json": b"<html>", "/list.json": [], "/other.json": {"type": "Canvas"}}
    iiif.documents["/huge.json"] = b"[" * 100_000
    iiif.documents["/collection.json"] = {"type": "Collection", "items": []}
    iiif.refusals["/secret.json"] = [(401, {})]
    names = ["good", "html", "list", "other", "huge", "collection", "secret", "missing"]
    items = [{"type": "Manifest", "id": f"{iiif.url}/{name}.json"} for name in names]
    iiif.documents["/top.json"] = {"type": "Collection", "items": items}
    found = {key.partition("/")[2]: value for key, value in read_all(listed(iiif, "/top.json")).items()}
    assert found == {
        **{f"{name}.json/manifest": "invalid_package" for name in ("html", "list", "other", "huge", "collection")},
        **{"secret.json/manifest": "access_denied", "missing.json/manifest": "missing"},
        "good.json/000001-g.jpg": b"1000x800.jpg",
    }


def test_endless_pages_are_refused(iiif, monkeypatch):
    monkeypatch.setattr("pipeline.sources.iiif_collections.MAX_COLLECTIONS", 5)
    for number in range(20):
        iiif.documents[f"/{number}"] = {"type": "Collection", "next": f"{iiif.url}/{number + 1}"}
    with pytest.raises(StorageError, match="leads to more than 5 collections and pages: name the parts"):
        listed(iiif, "/0")


def test_manifests_whose_photos_would_have_the_same_names_are_not_mixed(iiif):
    """`//` and a slash at the end make another address and the same folder; fragments and https make the same one."""
    for path, name in {"/x/m": "a", "/x//m": "b", "/x/m/": "c", "/x/m0": "d"}.items():
        add_manifest(iiif, path, [name])
    addresses = [
        *(f"{iiif.url}{path}" for path in ("/x//m", "/x/m0", "/x/m", "/x/m/")),
        f"{iiif.url}/x/m#page",
        f"{iiif.url}/x/m",
    ]
    items = [{"type": "Manifest", "id": address} for address in addresses]
    iiif.documents["/top.json"] = {"type": "Collection", "items": items}
    host = iiif.url.removeprefix("http://")
    found = read_all(listed(iiif, "/top.json"))
    assert [value for value in found.values()].count("invalid_package") == 2
    assert list(found) == [
        *(f"{host}/x/m/{name}" for name in ("000001-b.jpg", "~000001/manifest", "~000002/manifest")),
        f"{host}/x/m0/000001-d.jpg",
    ]
