"""Photos with content credentials of their own, and reading credentials with c2pa alone, as strangers would."""

import io
import json

import c2pa

from tests.support.certificates import make_credentials

SETTINGS = {"version": 1, "verify": {"verify_trust": False, "remote_manifest_fetch": False}}
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def sign_as_camera(data, media_type, title="camera.jpg"):
    """A photo with credentials by which a camera has taken it."""
    credentials = make_credentials()
    info = c2pa.C2paSignerInfo(b"es256", credentials.chain, credentials.key, None)
    created = {"action": "c2pa.created", "digitalSourceType": CAPTURE}
    manifest = {
        "title": title,
        "claim_generator_info": [{"name": "camera"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }
    signed = io.BytesIO()
    with c2pa.Builder(manifest, _context()) as builder, c2pa.Signer.from_info(info) as signer:
        builder.sign(signer, media_type, io.BytesIO(data), signed)
    return signed.getvalue()


def read_credentials(media_type, data, store=None):
    """State, active manifest and complete report of the credentials of a file; an error without any."""
    with c2pa.Reader(media_type, io.BytesIO(data), store, context=_context()) as reader:
        report = json.loads(reader.json())
        return reader.get_validation_state(), report["manifests"][report["active_manifest"]], report


def is_valid(media_type, data, store=None):
    """Whether credentials are valid for a file, whoever has signed them."""
    try:
        return read_credentials(media_type, data, store)[0] in ("Valid", "Trusted")
    except c2pa.C2paError:
        return False


def _context():
    return c2pa.Context(c2pa.Settings.from_dict(SETTINGS))
