"""Pages of ListObjectsV2 mean what botocore's parser makes of them, however the XML is written."""

from datetime import UTC, datetime
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import botocore.parsers
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.faults import Fault, classify_fault
from pipeline.storage.s3_pages import S3Object, S3Page, parse_page
from tests.support.listing_server import BUCKET, run_listing_server

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
XML_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=12)


def write_item(key, etag="&quot;0123&quot;", size="7", more=""):
    time = "<LastModified>2024-02-03T04:05:06.789Z</LastModified>"
    return f"<Contents><Key>{key}</Key>{time}<ETag>{etag}</ETag>{more}<Size>{size}</Size></Contents>"


def write_page(items, folders=(), token="", encoding="url", namespace=NAMESPACE):
    rest = f"<EncodingType>{encoding}</EncodingType>" if encoding else ""
    rest += "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in folders)
    rest += f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>"
    rest += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    return f"<ListBucketResult {namespace}>{''.join(items)}{rest}</ListBucketResult>".encode()


@pytest.fixture(scope="module")
def parse_by_botocore():
    """What botocore's parser and its handler of encoded keys make of a page."""
    from botocore.handlers import decode_list_object_v2

    model = botocore.session.get_session().get_service_model("s3").operation_model("ListObjectsV2")
    parser = botocore.parsers.create_parser("rest-xml")

    def parse(body):
        parsed = parser.parse({"body": body, "headers": {}, "status_code": 200}, model.output_shape)
        decode_list_object_v2(parsed, {"encoding_type_auto_set": True})
        objects = [
            S3Object(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"].timestamp())
            for item in parsed.get("Contents", ())
        ]
        folders = [item["Prefix"] for item in parsed.get("CommonPrefixes", ())]
        return S3Page(objects, folders, parsed.get("NextContinuationToken", ""))

    return parse


@given(
    st.lists(XML_TEXT, max_size=5),
    st.lists(XML_TEXT, max_size=3),
    st.sampled_from(["", "1/aB+=&<"]),
    st.booleans(),
    st.sampled_from(
        ["", "<Owner><ID>a</ID><DisplayName>b</DisplayName></Owner>", "<!-- <Size>8</Size> -->", "<StorageClass/>"]
    ),
)
def test_pages_mean_what_botocore_makes_of_them(parse_by_botocore, keys, folders, token, is_encoded, more):
    write = quote_plus if is_encoded else escape
    items = [write_item(write(key), more=more) for key in keys]
    body = write_page(items, map(write, folders), token, "url" if is_encoded else "")
    page = parse_page(body)
    assert page == parse_by_botocore(body)
    assert [each.key for each in page.objects] == keys and page.token == token


def test_keys_may_be_written_in_other_ways_and_other_orders(parse_by_botocore):
    item = write_item("a/b.png")
    backwards = "<Contents><Size>7</Size><ETag>0123</ETag><Key>a/b.png</Key><LastModified>2024-02-03T04:05:06.789Z"
    backwards += "</LastModified></Contents>"
    same = [item, item.replace("a/b.png", "<![CDATA[a/b.png]]>"), item.replace("a/b", "a&#47;b"), backwards]
    mtime = datetime(2024, 2, 3, 4, 5, 6, 789000, UTC).timestamp()
    for each in same:
        for namespace in (NAMESPACE, ""):
            for body in (write_page([each], namespace=namespace), write_page([item, each], namespace=namespace)):
                page = parse_page(body)
                assert set(page.objects) == {S3Object("a/b.png", 7, "0123", mtime)}
                assert page == parse_by_botocore(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<ListBucketResult>",
        write_page([write_item("a")])[:-5],
        write_page([write_item("a", size="many")]),
        write_page([write_item("a").replace("Key", "Name")]),
        write_page([write_item("a")]).replace(b"<IsTruncated>false", b"<IsTruncated>true"),
        b"\xff" + write_page([write_item("a")]),
    ],
)
def test_a_page_that_cannot_be_read_is_requested_again(body):
    with pytest.raises(OSError, match="ListObjectsV2 cannot be read") as caught:
        parse_page(body)
    assert classify_fault(caught.value) is Fault.TRANSIENT


def test_other_users_of_the_client_get_their_answers_as_ever(monkeypatch):
    """The handler that takes pages away from botocore's parser is one for all requests of the client."""
    from pipeline.storage.resolve import resolve_filesystem
    from pipeline.storage.s3_pages import fetch_page

    with run_listing_server(["a b.png", "c+é.png"]) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        fs, _ = resolve_filesystem(f"s3://{BUCKET}/")
        fs.clear_instance_cache()
        fs, _ = resolve_filesystem(f"s3://{BUCKET}/")
        page = fetch_page(fs, {"Bucket": BUCKET, "Prefix": ""})
        assert [each.key for each in page.objects] == ["a b.png", "c+é.png"]
        assert fs.ls(BUCKET, detail=False) == [f"{BUCKET}/a b.png", f"{BUCKET}/c+é.png"]
        fs.clear_instance_cache()
