"""A timestamp authority (RFC 3161) on loopback, by OpenSSL's command."""

import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.certificates import make_credentials
from tests.support.http_handler import serve_in_thread

CONFIG = """[tsa]
default_tsa = here
[here]
serial = {folder}/serial
default_policy = 1.2.3.4
signer_digest = sha256
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


@contextmanager
def run_timestamp_authority(folder):
    """Yield the URL of an authority that keeps its files in a folder, and the list of the requests that it answers."""
    folder.mkdir()
    flags = make_credentials("ps256", purposes=(ExtendedKeyUsageOID.TIME_STAMPING,), critical=True).write(folder)
    (folder / "config").write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    answered, lock = [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            with lock:
                reply = self.reply(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def reply(self, query):
            answered.append(query)
            (folder / "query").write_bytes(query)
            command = ["openssl", "ts", "-reply", "-config", folder / "config", "-queryfile", folder / "query"]
            command += ["-signer", flags[1], "-inkey", flags[3], "-chain", flags[1], "-out", folder / "reply"]
            subprocess.run(command, check=True, capture_output=True)
            return (folder / "reply").read_bytes()

        def log_message(self, *_):
            pass

    with serve_in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield f"{url}/tsa", answered
