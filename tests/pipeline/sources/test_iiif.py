"""Manifests that `iiif-prezi3` makes and validates, served with an Image API that refuses what it does not allow."""

import io
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iiif_prezi3 import AnnotationBody, Choice

from pipeline.config import Limits
from pipeline.errors import NotAllowedError, StorageError
from pipeline.runs import read_manifest
from pipeline.sources import PassedOver, find_images
from pipeline.sources.iiif_documents import iter_images, read_links
from pipeline.stages import RunOptions, open_run
from tests.support.iiif_manifests import add_manifest, listed, make_manifest, make_manifest_2, read_all
from tests.support.iiif_server import StoredImage, run_iiif_server
from tests.support.in_process_pool import run_in_process
from tests.support.photos import make_photo

KEYS = (
    *("items", "type", "@type", "id", "@id", "body", "service", "motivation", "sequences", "canvases", "images"),
    *("resource", "source", "default", "profile", "@context", "format", "first", "next", "members", "manifests"),
)
IDENTIFIERS = ["p1", "ark:%2F12148%2Fbtv1b.f1", "é", "p 2", "a%25b", "3.jpg"]


@pytest.mark.parametrize("seed", range(3))
def test_images_of_a_manifest_are_read_in_the_order_of_its_canvases(iiif, seed):
    rng = random.Random(seed)
    identifiers = rng.sample(IDENTIFIERS, 4)
    for identifier in identifiers:
        iiif.images[identifier.replace("%2F", "/").replace("%25", "%")] = StoredImage(
            rng.randint(1, 9000), rng.randint(1, 9000)
        )
    rights = {"rights": "http://creativecommons.org/publicdomain/mark/1.0/"} if seed else {}
    services = [[iiif.service(each)] for each in identifiers[:2]] + [
        [iiif.service(each) for each in identifiers[2:]],
        [],
    ]
    iiif.documents["/manifest.json"] = make_manifest(iiif.url, services, **rights)
    entries = listed(iiif)
    assert [entry.key.partition("-")[0] for entry in entries] == ["000001", "000002", "000003.001", "000003.002"]
    assert all(entry.key.endswith(".jpg") and "/" not in entry.key and entry.etag == "iiif:1" for entry in entries)
    images = [iiif.images[each.replace("%2F", "/").replace("%25", "%")] for each in identifiers]
    assert list(read_all(entries).values()) == [f"{image.width}x{image.height}.jpg".encode() for image in images]
    assert not any("info.json" in request for request in iiif.requests), "version 3 has max at every level"
    assert iiif.agents == {next(iter(iiif.agents))} and next(iter(iiif.agents)).startswith("deepot/")


def test_choices_parts_and_images_without_a_service_are_read(iiif):
    for identifier in ("first", "second", "part"):
        iiif.images[identifier] = StoredImage()
    iiif.documents["/plain/9.png"] = b"the file itself"
    body = {"type": "Image", "format": "image/jpeg"}
    services = {
        name: {
            "id": f"{iiif.service(name)}/full/max/0/default.jpg",
            "service": [{"id": iiif.service(name), "type": "ImageService3"}],
        }
        for name in iiif.images
    }
    older = {"@id": iiif.service("second"), "@type": "ImageService2", "profile": "level1"}
    services["second"]["service"] = [
        {"@id": "https://auth.example.org", "@type": "AuthCookieService1"},
        older,
        *services["second"]["service"],
    ]
    bodies = [
        {"type": "Choice", "items": [body | services["first"], body | services["second"]]},
        [{"type": "SpecificResource", "source": body | services["part"], "selector": {"type": "ImageApiSelector"}}],
        body | {"id": f"{iiif.url}/plain/9.png", "format": "image/png"},
        {"type": "TextualBody", "value": "no image"},
        {"type": "Video", "id": f"{iiif.url}/film.mp4", "format": "video/mp4"},
        body | services["second"],
    ]
    canvases = [
        {"type": "Canvas", "items": [{"type": "AnnotationPage", "items": [{"motivation": "painting", "body": each}]}]}
        for each in bodies
    ]
    canvases[0]["items"][0]["items"].append({"motivation": "commenting", "body": body | services["second"]})
    iiif.documents["/manifest.json"] = {"type": "Manifest", "id": "x", "items": [*canvases, None, {"items": "no list"}]}
    passed_over = PassedOver()
    found = read_all(listed(iiif, passed_over=passed_over))
    assert found == {
        "000001-first.jpg": b"1000x800.jpg",
        "000002-part.jpg": b"1000x800.jpg",
        "000003-9.png": b"the file itself",
        "000006-second.jpg": b"1000x800.jpg",
    }
    assert passed_over.counts == {"other": 2}
    prezi = Choice(items=[AnnotationBody(**(body | services["first"]))])
    assert prezi.items[0].id.endswith("/default.jpg"), "iiif-prezi3 takes the choice for one"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda iiif: iiif.images.pop("x"), "missing"),
        (lambda iiif: setattr(iiif.images["x"], "width", 0), "invalid_package"),
        (lambda iiif: setattr(iiif.images["x"], "width", 10**400), "invalid_package"),
        (lambda iiif: setattr(iiif.images["x"], "limits", {"maxArea": 10**400}), "invalid_package"),
        (lambda iiif: iiif.documents.update({"/iiif/x/info.json": b"<html>"}), "invalid_package"),
        (lambda iiif: iiif.documents.update({"/iiif/x/info.json": b"[]"}), "invalid_package"),
        (lambda iiif: iiif.refusals.update({"/iiif/x/info.json": [(403, {})]}), "access_denied"),
    ],
)
def test_service_that_cannot_be_used_fails_its_photo_alone(iiif, change, code):
    iiif.images |= {"x": StoredImage(version=2), "y": StoredImage(version=2)}
    iiif.documents["/manifest.json"] = make_manifest_2(iiif, ["x", "y"])
    change(iiif)
    found = read_all(listed(iiif))
    assert list(found)[1] == "000002-y.jpg" and found["000002-y.jpg"] == b"1000x800.jpg"
    assert found[next(iter(found))] == code


def test_other_servers_are_asked_only_if_the_job_allows_them(iiif):
    with run_iiif_server() as other:
        other.images["x"] = StoredImage()
        iiif.documents["/manifest.json"] = make_manifest(iiif.url, [[other.service("x")]])
        iiif.documents["/top.json"] = {
            "type": "Collection",
            "items": [{"type": "Manifest", "id": f"{other.url}/m.json"}],
        }
        other.documents["/m.json"] = make_manifest(other.url, [[other.service("x")]])
        for path in ("/manifest.json", "/top.json"):
            with pytest.raises(
                NotAllowedError, match=rf"{path} names {other.url}/.*, which is on another server: if you"
            ):
                listed(iiif, path)
        assert other.requests == []
        assert list(read_all(listed(iiif, allow=[f"{other.url}/iiif/"])).values()) == [b"1000x800.jpg"]
        assert len(listed(iiif, "/top.json", allow=[other.url])) == 1


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd.jpg", "/etc/passwd.jpg", "s3://bucket/x.jpg", "http://169.254.169.254/x.jpg", "x\ud800"],
)
def test_addresses_of_anything_but_the_own_server_are_refused(iiif, address):
    body = {"type": "Image", "format": "image/jpeg", "id": address}
    canvas = {"items": [{"items": [{"motivation": "painting", "body": body}]}]}
    iiif.documents["/manifest.json"] = {"type": "Manifest", "items": [canvas]}
    with pytest.raises(NotAllowedError, match="which is on another server"):
        listed(iiif)


def test_redirects_to_other_servers_are_not_followed(iiif, web):
    web.files["/m.json"] = json.dumps({"type": "Manifest", "items": []}).encode()
    iiif.refusals["/manifest.json"] = [(302, {"Location": f"{web.url}/m.json"})]
    with pytest.raises(StorageError, match=r"redirects to .* another server"):
        listed(iiif)
    assert web.requests == []


def test_input_that_is_no_manifest_is_refused(iiif):
    iiif.documents["/html"] = b"<html>"
    for path, message in {
        "/html": "is no JSON",
        "/none": "there is no such folder, bucket or file",
        "/html#size=big": "has the option 'size=big': write #size=3000",
        "/html#format=gif": "has the option 'format=gif'",
    }.items():
        with pytest.raises(StorageError, match=message):
            listed(iiif, path)
    with pytest.raises(StorageError, match="is no address of a manifest: write iiif:https://"):
        list(find_images("iiif:/data/manifest.json", "input"))


def test_document_over_the_limit_is_not_read(iiif, monkeypatch):
    monkeypatch.setattr("pipeline.sources.iiif_collections.MAX_DOCUMENT_BYTES", 100)
    iiif.documents["/manifest.json"] = {"type": "Manifest", "items": [], "x": "x" * 100}
    with pytest.raises(StorageError, match="has more than 100 bytes"):
        listed(iiif)


def test_server_gets_no_more_requests_at_a_time_than_the_job_allows(iiif):
    add_manifest(iiif, "/m.json", [f"i{number}" for number in range(12)])
    add_manifest(iiif, "/n.json", [f"j{number}" for number in range(12)])
    iiif.documents["/top.json"] = {
        "type": "Collection",
        "items": [{"type": "Manifest", "id": f"{iiif.url}/{name}.json"} for name in "mn"],
    }
    limits = Limits(server_requests_per_s=1000, server_connections=3)
    listing = find_images(f"iiif:{iiif.url}/top.json", "input", limits=limits)
    first = next(listing)
    iiif.waits_for = 3
    assert len([first, *listing]) == 24
    assert iiif.most_at_once == 3


def test_photo_whose_etag_changes_counts_as_changed(iiif):
    add_manifest(iiif, "/manifest.json", ["x", "y"])
    before = listed(iiif)
    iiif.images["y"].etag = "2"
    after = listed(iiif)
    assert before[0] == after[0] and before[1]._replace(etag="iiif:2") == after[1]


def jpeg_of(photo):
    with io.BytesIO() as file:
        photo.save(file, "jpeg", quality=95)
        return file.getvalue()


def test_run_over_a_manifest_has_a_row_for_each_image(make_job, iiif, tmp_path):
    make_job()
    for number in range(3):
        iiif.images[f"i{number}"] = StoredImage(data=jpeg_of(make_photo(number)))
    services = [[iiif.service(f"i{number}")] for number in range(3)]
    iiif.documents["/manifest.json"] = make_manifest(iiif.url, services)
    iiif.refusals["/iiif/i1/full/max/0/default.jpg"] = [(404, {})] * 20
    job = make_job(input=f"iiif:{iiif.url}/manifest.json", limits={"server_requests_per_s": 1000})
    run_in_process(job)
    rows = sorted(
        read_manifest(open_run(job, RunOptions(allow_code=True)).run).to_pylist(), key=lambda row: row["input_uri"]
    )
    assert [(row["status"], row["error_code"]) for row in rows] == [("ok", None), ("failed", "missing"), ("ok", None)]
    assert [row["output_uri"].rpartition("/")[2] for row in (rows[0], rows[2])] == ["000001-i0.jpg", "000003-i2.jpg"]


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["x", "Image", "sc:Canvas", "painting", "Choice", "level2"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=30,
)


@given(DOCUMENTS)
def test_documents_of_any_shape_are_read(document):
    """Whatever is not as it should be names nothing."""
    document = document if isinstance(document, dict) else {"items": document, "sequences": document}
    assert all(isinstance(image.uri, str) for image in iter_images(document))
    links = read_links(document)
    assert all(isinstance(address, str) and address for address in links.manifests + links.collections)
