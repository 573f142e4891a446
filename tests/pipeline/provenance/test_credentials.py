"""Credentials of results: what they claim, that they are valid, and what is left alone."""

import io
import os
import stat

import c2pa
import pytest

from pipeline.errors import ConfigError
from pipeline.maintenance import verify_run
from pipeline.progress import NullProgress
from pipeline.provenance import SigningAlgorithm, SigningOptions, sign_results
from pipeline.provenance.credential_places import CredentialPlaces
from pipeline.provenance.credentials_table import read_table
from pipeline.storage import delete, sha256_hex
from tests.pipeline.provenance.conftest import add_photo, encode_photo, make_row, write_run
from tests.support.certificates import make_credentials
from tests.support.http_server import run_web_server
from tests.support.signed_photos import is_valid, read_credentials, sign_as_camera

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "TIFF": "image/tiff", "WEBP": "image/webp", "AVIF": "image/avif"}
OTHER_TYPES = {"BMP": "image/bmp", "JPEG2000": "image/jp2"}


@pytest.fixture
def options(tmp_path):
    return options_of(tmp_path)


def options_of(tmp_path, name="signer", **changes):
    flags = make_credentials(changes.get("algorithm", "es256")).write(tmp_path, name)
    return SigningOptions(flags[1], flags[3], **changes)


def sign(run, options, copies=None, threads=2):
    return sign_results(run, options, copies, threads, NullProgress())


def entries_of(run, shard=0, copies=None):
    return read_table(CredentialPlaces(run, None, copies).table(shard))


def bytes_of(uri):
    with open(uri, "rb") as file:
        return file.read()


def action_of(manifest, name):
    (actions,) = [
        each["data"]["actions"] for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")
    ]
    (found,) = [action for action in actions if action["action"] == name]
    return found


@pytest.mark.parametrize("kind", [*TYPES, *OTHER_TYPES])
def test_credentials_are_valid_for_the_result_and_for_nothing_else(tmp_path, options, kind):
    row = add_photo(tmp_path, 1, kind=kind)
    run = write_run(tmp_path, [[row]])
    summary = sign(run, options)
    assert (summary.signed_now, summary.failed) == (1, 0)
    (entry,) = entries_of(run)
    assert entry.credentials_uri == row["output_uri"] + ".result.c2pa"
    media_type, result, store = (
        (TYPES | OTHER_TYPES)[kind],
        bytes_of(row["output_uri"]),
        bytes_of(entry.credentials_uri),
    )
    assert sha256_hex(result) == row["output_sha256"] and sha256_hex(store) == entry.credentials_sha256
    assert len(store) < 6000, "no thumbnails"
    assert is_valid(media_type, result, store)
    for position in range(len(result) // 3, len(result), len(result) // 3):
        altered = bytearray(result)
        altered[position] ^= 1
        assert not is_valid(media_type, bytes(altered), store)
    for position in range(len(store) // 2, len(store), len(store) // 10):
        altered = bytearray(store)
        altered[position] ^= 1
        assert (
            bytes(altered) == store or not is_valid(media_type, result, bytes(altered)) or _is_padding(store, position)
        )
    assert not is_valid(media_type, encode_photo(kind, 55), store)


def _is_padding(store, position):
    """Whether a byte of a store is one of the zeros that c2pa reserves for longer signatures."""
    return store[position - 8 : position + 8].strip(b"\0") == b""


@pytest.mark.parametrize("algorithm", list(SigningAlgorithm))
def test_sign_results_signs_with_each_algorithm(tmp_path, algorithm):
    row = add_photo(tmp_path, 1)
    run = write_run(tmp_path, [[row]])
    sign(run, options_of(tmp_path, algorithm=algorithm))
    (entry,) = entries_of(run)
    assert entry.algorithm == algorithm
    state, manifest, _ = read_credentials("image/jpeg", bytes_of(row["output_uri"]), bytes_of(entry.credentials_uri))
    assert state == "Valid" and manifest["signature_info"]["alg"].lower() == algorithm


def test_credentials_claim_what_deepot_did(tmp_path, options):
    row = add_photo(tmp_path, 1)
    run = write_run(tmp_path, [[row]], restorer="spandrel:/home/jo/model.pth")
    sign(run, options)
    (entry,) = entries_of(run)
    _, manifest, _ = read_credentials("image/jpeg", bytes_of(row["output_uri"]), bytes_of(entry.credentials_uri))
    assert manifest["claim_generator_info"][0]["name"] == "deepot" and manifest["title"] == "photo 1.jpg"
    (ingredient,) = manifest["ingredients"]
    assert (ingredient["relationship"], ingredient["title"]) == ("parentOf", "photo 1.jpg")
    assert entry.ingredient == "input" and "thumbnail" not in ingredient and "thumbnail" not in manifest
    assert action_of(manifest, "c2pa.opened")["parameters"]["ingredients"]
    edited = action_of(manifest, "c2pa.edited")
    assert edited["digitalSourceType"].endswith("/algorithmicallyEnhanced")
    assert edited["softwareAgent"] == {"name": "deepot", "version": "9.9"}
    assert edited["parameters"] == {
        "deepot.alpha": 0.25,
        "deepot.mode": "auto",
        "deepot.restorer": "spandrel:model.pth",
        "deepot.map_sha256": "ab" * 32,
        "deepot.input_sha256": row["input_sha256"],
    }


def test_credentials_have_the_same_content_each_time(tmp_path, options):
    row = add_photo(tmp_path, 1)
    run = write_run(tmp_path, [[row]])
    found = []
    for _ in range(2):
        sign(run, options)
        (entry,) = entries_of(run)
        _, manifest, _ = read_credentials("image/jpeg", bytes_of(row["output_uri"]), bytes_of(entry.credentials_uri))
        action_of(manifest, "c2pa.opened")["parameters"] = None  # hashes of assertions, which c2pa salts
        found.append({name: value for name, value in manifest.items() if name != "label"})
        delete(entry.credentials_uri)
    assert found[0] == found[1]


@pytest.mark.parametrize(("marks", "titles"), [("name", 2), ("hash", 0), ("off", 0), ("uri", 2)])
def test_credentials_state_names_as_marks_do(tmp_path, options, marks, titles):
    row = add_photo(tmp_path, 1)
    run = write_run(tmp_path, [[row]], output={"uri": str(tmp_path / "enhanced"), "marks": marks})
    sign(run, options)
    store = bytes_of(entries_of(run)[0].credentials_uri)
    assert store.count(b"photo 1.jpg") == titles
    assert (str(tmp_path).encode() in store) == (marks == "uri")


def test_credentials_of_the_input_belong_to_the_ingredient(tmp_path, options):
    source = sign_as_camera(encode_photo(), "image/jpeg")
    row = add_photo(tmp_path, 1, source, credentials="box/photo 1.jpg.c2pa")
    kept = tmp_path / "enhanced" / "box" / "photo 1.jpg.c2pa"
    kept.write_bytes(b"the store of the input")
    run = write_run(tmp_path, [[row]])
    sign(run, options)
    (entry,) = entries_of(run)
    assert entry.ingredient == "input with its credentials"
    state, manifest, report = read_credentials(
        "image/jpeg", bytes_of(row["output_uri"]), bytes_of(entry.credentials_uri)
    )
    (ingredient,) = manifest["ingredients"]
    camera = report["manifests"][ingredient["active_manifest"]]
    assert state == "Valid" and camera["claim_generator_info"][0]["name"] == "camera"
    assert kept.read_bytes() == b"the store of the input"


def remove(path):
    path.unlink()


def change(path):
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize(
    ("spoil", "reason"), [(remove, "the input no longer exists"), (change, "the input has changed since the run")]
)
def test_credentials_without_the_input_state_it_by_its_identifier(tmp_path, options, spoil, reason):
    row = add_photo(tmp_path, 1, sign_as_camera(encode_photo(), "image/jpeg"), credentials="box/photo 1.jpg.c2pa")
    run = write_run(tmp_path, [[row]])
    spoil(tmp_path / "restored" / "box" / "photo 1.jpg")
    assert sign(run, options).signed_now == 1
    (entry,) = entries_of(run)
    assert entry.ingredient == f"identifier ({reason})"
    state, manifest, _ = read_credentials("image/jpeg", bytes_of(row["output_uri"]), bytes_of(entry.credentials_uri))
    (ingredient,) = manifest["ingredients"]
    assert state == "Valid" and "active_manifest" not in ingredient
    assert ingredient["instance_id"].startswith("xmp.iid:") and ingredient["format"] == "image/jpeg"


@pytest.mark.parametrize("policy", ["strip-gps", "strip"])
def test_credentials_of_the_input_are_not_kept_where_metadata_is_not(tmp_path, options, policy):
    source = sign_as_camera(encode_photo(), "image/jpeg", title="secret place.jpg")
    row = add_photo(tmp_path, 1, source, credentials=f"not kept (output.metadata is {policy})")
    run = write_run(tmp_path, [[row]], output={"uri": str(tmp_path / "enhanced"), "metadata": policy})
    sign(run, options)
    (entry,) = entries_of(run)
    assert entry.ingredient == f"identifier (output.metadata is {policy})"
    assert b"secret place" in source and b"secret place" not in bytes_of(entry.credentials_uri)


def test_references_to_servers_are_not_followed(tmp_path, options):
    with run_web_server() as web:
        packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
            <rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/"
            dcterms:provenance="{web.url}/a.c2pa"/></rdf:RDF></x:xmpmeta>""".encode()
        photo = encode_photo(xmp=packet)
        with pytest.raises(c2pa.C2paError):
            c2pa.Reader("image/jpeg", io.BytesIO(photo))
        assert web.requests, "c2pa follows it unless its settings forbid that"
        web.requests.clear()
        run = write_run(tmp_path, [[add_photo(tmp_path, 1, source=photo, result=encode_photo(seed=3, xmp=packet))]])
        for copies in (None, str(tmp_path / "signed")):
            assert sign(run, options, copies).signed_now == 1
            assert sign(run, options, copies).signed_before == 1
        assert web.requests == []


def test_credentials_state_a_conversion_and_restored_photos(tmp_path, options):
    row = add_photo(tmp_path, 1, result=encode_photo("PNG", 5), alpha=1.0)
    output = {"uri": str(tmp_path / "enhanced"), "format": "png"}
    run = write_run(tmp_path, [[row]], output=output, restorer="nlm:sigma=50")
    sign(run, options)
    (entry,) = entries_of(run)
    state, manifest, _ = read_credentials("image/png", bytes_of(row["output_uri"]), bytes_of(entry.credentials_uri))
    assert state == "Valid" and action_of(manifest, "c2pa.converted")


def test_results_that_are_not_enhanced_are_left_out(tmp_path, options):
    rows = [
        add_photo(tmp_path, 1, alpha=1.0),
        add_photo(tmp_path, 2, status="rejected"),
        add_photo(tmp_path, 4, alpha=None, untouched=True),
        make_row(tmp_path, 3, "failed"),
    ]
    run = write_run(tmp_path, [rows])
    summary = sign(run, options)
    assert (summary.signed_now, summary.left_out, summary.failed) == (0, 3, 0)
    assert [entry.reason for entry in entries_of(run)] == [
        "alpha is 1 and the job restores nothing, so it shows what its input shows",
        "a review has rejected it, so it is its input",
        "it looked natural already, so it shows what its input shows",
    ]
    assert not list((tmp_path / "enhanced").rglob("*.c2pa"))


@pytest.mark.parametrize("kind", TYPES)
def test_embedded_credentials_are_in_copies_and_results_stay_as_they_are(tmp_path, options, kind):
    source = sign_as_camera(encode_photo(kind), TYPES[kind])
    row = add_photo(tmp_path, 1, source, kind=kind, credentials="x.c2pa")
    run = write_run(tmp_path, [[row]])
    copies = str(tmp_path / "signed")
    assert sign(run, options, copies).signed_now == 1
    (entry,) = entries_of(run, copies=copies)
    assert entry.credentials_uri == f"{copies}/{row['file_name']}"
    copy = bytes_of(entry.credentials_uri)
    assert sha256_hex(copy) == entry.credentials_sha256
    assert sha256_hex(bytes_of(row["output_uri"])) == row["output_sha256"]
    state, _, report = read_credentials(TYPES[kind], copy)
    assert state == "Valid" and len(report["manifests"]) == 2
    assert samples_of(copy) == samples_of(bytes_of(row["output_uri"]))
    assert verify_run(run, NullProgress()).findings == ()
    assert sign(run, options, copies).signed_before == 1


def samples_of(data):
    from pipeline.imageio import decode

    return decode(data, 10**6).pixels.samples.tobytes()


def test_formats_that_hold_no_credentials_are_left_out_of_copies(tmp_path, options):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1, kind="BMP")]])
    assert sign(run, options, str(tmp_path / "signed")).left_out == 1
    (entry,) = entries_of(run, copies=str(tmp_path / "signed"))
    assert "leave out --embed" in entry.reason and not (tmp_path / "signed").exists()


@pytest.mark.parametrize("place", ["enhanced", "enhanced/signed", ".", "other"])
def test_copies_in_folders_of_results_are_refused(tmp_path, options, place):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "_owner.json").write_text('{"run": "/another/run"}')
    with pytest.raises(ConfigError, match=r"--out .*: name another folder"):
        sign(run, options, str(tmp_path / place))


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_results_in_containers_are_refused_before_any_work(tmp_path, options, layout):
    output = {"uri": str(tmp_path / "enhanced"), "layout": layout}
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]], output=output)
    with pytest.raises(ConfigError, match=f"are in {layout} files, .* set output.layout to files"):
        sign(run, options)
    assert not os.path.exists(run.credentials())


def test_credentials_have_no_permission_that_the_result_lacks(tmp_path, options, umask):
    umask(0o022)
    row = add_photo(tmp_path, 1)
    os.chmod(row["output_uri"], 0o600)
    run = write_run(tmp_path, [[row]])
    sign(run, options)
    sign(run, options, str(tmp_path / "signed"))
    for copies in (None, str(tmp_path / "signed")):
        (entry,) = entries_of(run, copies=copies)
        assert stat.S_IMODE(os.stat(entry.credentials_uri).st_mode) == 0o600


def test_credentials_below_a_link_out_of_the_folder_are_not_written(tmp_path, options):
    row = add_photo(tmp_path, 1)
    run = write_run(tmp_path, [[row]])
    (tmp_path / "enhanced" / "box").rename(tmp_path / "elsewhere")
    (tmp_path / "enhanced" / "box").symlink_to(tmp_path / "elsewhere")
    summary = sign(run, options)
    assert summary.failed == 1 and "is a symbolic link" in summary.problems[0][1]
    assert not list((tmp_path / "elsewhere").glob("*.c2pa"))
