"""Notifications of how a job ended, to a server on loopback; a webhook that fails costs nothing but a warning."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import pytest
from tenacity import wait_none

from jobs.cli import _build_parser, main
from jobs.execution import execute_job
from pipeline.config.job import Notifications
from pipeline.config.loading import parse_job
from pipeline.errors import ConfigError
from pipeline.runs.summary import RunSummary
from pipeline.stages import RunOptions, open_run, prepare_run
from pipeline.storage.objects import read
from pipeline.telemetry import notifications
from pipeline.telemetry.notifications import make_notifier
from tests.support.photos import small_job_config

SECRET = "services/T0/B0/not-to-be-seen"
DONE = RunSummary("/run", 3, 2, 0, 1, {"damaged": 1}, complete=True, done_now=3, seconds=1.5)


class Hook(ThreadingHTTPServer):
    """Answers posts with the statuses that it is given, and then with 200; `late` is no answer until it closes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.statuses, self.posted, self.asked = [], [], 0
        self.closing = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.asked += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == "late":
            self.server.closing.wait()
            return
        if status == 200:
            self.server.posted.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self):
        self.do_POST()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook(monkeypatch):
    monkeypatch.setattr(notifications, "wait_fixed", lambda _: wait_none())
    with Hook() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


def test_send_posts_the_json_for_schedulers(hook, monkeypatch):
    monkeypatch.setenv("DEEPOT_HOOK", hook.url)
    make_notifier(Notifications(webhook="env:DEEPOT_HOOK")).send(DONE.json_fields)
    make_notifier(Notifications(webhook=hook.url)).send({"exit_status": 2})
    assert hook.posted == [
        (f"/{SECRET}", "application/json", DONE.json_fields),
        (f"/{SECRET}", "application/json", {"exit_status": 2}),
    ]


@pytest.mark.parametrize(
    ("statuses", "asked", "posted"),
    [([503, 429], 3, 1), ([500] * 3, 3, 0), ([404], 1, 0), ([302], 1, 0), ([307], 1, 0), (["late"] * 3, 3, 0)],
)
def test_send_retries_transient_errors_and_follows_no_redirects(hook, statuses, asked, posted, caplog, monkeypatch):
    if "late" in statuses:
        monkeypatch.setattr(notifications, "_RESPONSE_TIMEOUT_S", 0.2)
    hook.statuses = list(statuses)
    make_notifier(Notifications(webhook=hook.url)).send({})
    deadline = time.monotonic() + 120
    while hook.asked < asked and time.monotonic() < deadline:  # the server may still be reading what timed out
        time.sleep(0.01)
    assert (hook.asked, len(hook.posted)) == (asked, posted)
    assert ("could not be notified" in caplog.text) == (not posted)
    assert "not-to-be-seen" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/{}", "http://nowhere.invalid/{}", "http://a b/{}"])
def test_send_to_an_unreachable_webhook_warns_without_its_secret(url, caplog, monkeypatch, hook):
    monkeypatch.setenv("DEEPOT_HOOK", url.format(SECRET))
    make_notifier(Notifications(webhook="env:DEEPOT_HOOK")).send({})
    assert "the webhook in DEEPOT_HOOK could not be notified" in caplog.text
    assert "not-to-be-seen" not in caplog.text


def test_make_notifier_refuses_a_webhook_without_a_url(monkeypatch):
    monkeypatch.delenv("DEEPOT_HOOK", raising=False)
    with pytest.raises(ConfigError, match="the environment variable DEEPOT_HOOK is not set"):
        make_notifier(Notifications(webhook="env:DEEPOT_HOOK"))
    for url in ("file:///etc/passwd", "http://[/"):
        monkeypatch.setenv("DEEPOT_HOOK", url)
        with pytest.raises(ConfigError, match="DEEPOT_HOOK holds no http:// or https:// URL"):
            make_notifier(Notifications(webhook="env:DEEPOT_HOOK"))


def test_send_posts_to_the_webhook_in_a_file(hook, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "hook url").write_text(f"\n {hook.url}\n\n")
    (tmp_path / "hook url").chmod(0o640)
    for path in (tmp_path / "hook url", "hook url", "~/hook url", f"//{tmp_path}/hook url"):
        make_notifier(Notifications(webhook=f"file:{path}")).send({})
    assert len(hook.posted) == 4
    assert not caplog.records
    (tmp_path / "hook url").chmod(0o644)
    make_notifier(Notifications(webhook="file:hook url"))
    assert "every user of this machine can read the webhook in hook url: chmod 600" in caplog.text
    (tmp_path / "hook url").write_text(f"http://127.0.0.1:1/{SECRET}")
    make_notifier(Notifications(webhook="file:hook url")).send({})
    assert "the webhook in hook url could not be notified" in caplog.text
    assert "not-to-be-seen" not in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"cannot be read \(No such file or directory\): write the URL into it"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hooks.example/not-to-be-seen", "holds no http:// or https:// URL"),
        (b"https://hooks.example/not-to-be-seen\nhttps://hooks.example/second", "holds no http:// or https:// URL"),
        (b"\xff\xfe not-to-be-seen", "holds no http:// or https:// URL"),
    ],
)
def test_make_notifier_refuses_a_file_without_a_url(tmp_path, content, problem):
    if content is not None:
        (tmp_path / "hook").write_bytes(content)
    message = f"notify.webhook is file:{tmp_path}/hook, but the file {tmp_path}/hook {problem}"
    with pytest.raises(ConfigError, match=message) as caught:
        make_notifier(Notifications(webhook=f"file:{tmp_path}/hook"))
    assert "not-to-be-seen" not in str(caught.value)


def test_make_notifier_refuses_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        make_notifier(Notifications(webhook=f"file:{tmp_path}"))


@pytest.mark.parametrize(
    ("webhook", "message"),
    [
        (f"env:https://hooks.example/{SECRET}", "what follows env: must be the name of an environment variable"),
        ("env:", "what follows env: must be the name"),
        (f"env:hooks.example/{SECRET}", "what follows env: must be the name"),
        (f"file:https://hooks.example/{SECRET}", "what follows file: must be the path of a local file"),
        ("file:", "what follows file: must be the path"),
        ("file://", "what follows file: must be the path"),
        (f"ENV:{SECRET}", "it must be env:NAME, file:PATH, or an http"),
    ],
)
def test_webhook_that_is_mistyped_is_refused_without_showing_it(webhook, message):
    content = {"input": {"images": "in"}, "output": {"uri": "out"}, "map": "m", "notify": {"webhook": webhook}}
    with pytest.raises(ConfigError, match=message) as caught:
        parse_job(content)
    assert "not-to-be-seen" not in str(caught.value)


@pytest.mark.parametrize("flag", ["--notify.webhook={}", "--notify.webhook {}", "--notify.web {}"])
@pytest.mark.parametrize(
    "value",
    [
        f"https://hooks.example/{SECRET}",
        f"HTTPS://hooks.example/{SECRET}",
        f"hooks.example/{SECRET}",
        f"https://me:{SECRET}@hooks.example/x",
        f"env:https://hooks.example/{SECRET}",
        f"file:https://hooks.example/{SECRET}",
        "",
    ],
)
@pytest.mark.parametrize("command", ["run", "apply"])
def test_webhook_on_the_command_line_is_refused_with_the_way_out(command, flag, value, tmp_path, capsys):
    (tmp_path / "job.yaml").write_text("{input: in, output: out, map: m}")
    assert main([command, str(tmp_path / "job.yaml"), *flag.format(value).split(" ")]) == 2
    out, err = capsys.readouterr()
    assert "not-to-be-seen" not in out + err
    if value[:5] not in ("env:h", "file:"):
        assert "--notify.webhook is a secret, and every user of this machine sees it on a command line" in err
        assert "--notify.webhook env:NAME" in err and "--notify.webhook file:PATH" in err


def test_webhook_on_the_command_line_may_name_a_variable_or_a_file(tmp_path, hook, monkeypatch):
    monkeypatch.setenv("DEEPOT_HOOK", hook.url)
    (tmp_path / "hook").write_text(hook.url)
    (tmp_path / "job.yaml").write_text("{input: in, output: out, map: m}")
    for value in ("env:DEEPOT_HOOK", f"file:{tmp_path}/hook"):
        options = _build_parser().parse_args(["run", str(tmp_path / "job.yaml"), "--notify.webhook", value])
        assert execute_job(options, lambda *_: DONE) == 1
    assert len(hook.posted) == 2


@pytest.mark.parametrize("given", [f"hooks.example/{SECRET}", {"webhook": f"hooks.example/{SECRET}"}])
def test_misplaced_webhook_is_refused_without_showing_it(given):
    with pytest.raises(ConfigError, match="notify") as caught:
        parse_job({"input": {"images": "in"}, "output": {"uri": "out"}, "map": "m", "notify": given})
    assert "not-to-be-seen" not in str(caught.value)


def test_webhook_with_a_token_is_accepted_but_not_credentials():
    content = {"input": {"images": "in"}, "output": {"uri": "out"}, "map": "m"}
    url = "https://hooks.example/send?access_token=not-to-be-seen"
    assert parse_job(content | {"notify": {"webhook": url}}).notify.webhook == url
    with pytest.raises(ConfigError, match="holds credentials"):
        parse_job(content | {"name": url})
    with pytest.raises(ConfigError, match="a URL with a user name or password is not accepted") as caught:
        parse_job(content | {"notify": {"webhook": "https://me:not-to-be-seen@hooks.example/x"}})
    assert "not-to-be-seen" not in str(caught.value)


def test_job_notifies_how_it_ended(hook, make_job, tmp_path, capsys):
    """Done, stopped, and unable to run; the secret is in no file of the run."""
    job = make_job(name="scans", notify={"webhook": hook.url})
    path = tmp_path / "job.yaml"
    unusable = {"autoencoder": "/no/such/autoencoder", "notify": {"webhook": hook.url}}
    path.write_text(json.dumps(small_job_config(tmp_path, name="scans", **unusable)))
    options = _build_parser().parse_args(["run", str(path), "--allow-code", "--json"])

    assert execute_job(options, lambda *_: DONE) == 1, "a third of the images failed"
    for stop in (KeyboardInterrupt(), SystemExit(15)):
        with pytest.raises(type(stop)):
            execute_job(options, Mock(side_effect=stop))
    assert main(["run", str(path), "--allow-code"]) == 2
    common = {"name": "scans", "command": "run"}
    done, interrupted, ended, failed = (payload for *_, payload in hook.posted)
    assert done == DONE.json_fields | common | {"exit_status": 1}
    assert interrupted == common | {"exit_status": 130, "error": "KeyboardInterrupt"}
    assert ended == common | {"exit_status": 15, "error": "SystemExit"}
    assert failed == common | {"exit_status": 2, "error": failed["error"]}
    assert "there is no such folder" in failed["error"]
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1]) == DONE.json_fields
    assert "not-to-be-seen" not in out + err
    opened = open_run(job, RunOptions(allow_code=True))
    prepare_run(opened)
    assert b"not-to-be-seen" not in read(opened.run.run_json)
    assert opened.fingerprint == open_run(make_job(name="scans"), RunOptions(allow_code=True)).fingerprint
