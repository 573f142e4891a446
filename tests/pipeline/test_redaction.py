"""Credentials in URIs and secrets of the environment: found, refused and removed, and nothing else is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import redaction
from pipeline.config.loading import load_job
from pipeline.errors import ConfigError, StorageError
from pipeline.redaction import has_credentials, redact
from pipeline.storage.objects import read

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # of AWS's documentation
PARTS = (*SECRET.split("/"), SECRET.replace("/", "-"))


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://AKIAPLANTED:{SECRET}@bucket/x",
        f"s3://AKIAPLANTED:8080/{SECRET}@bucket/x",
        f"s3://AKIAPLANTED:a@{SECRET}@bucket/x@y:z.png",
        f"https://me:{SECRET}@host:8080/x.png",
        f"https://{SECRET.replace('/', '-')}@host/x.png",
        *(
            f"https://host/x.png?{name}={SECRET}&a=1"
            for name in ("X-Amz-Signature", "X-Goog-Signature", "access_token", "Signature", "sig", "api_key")
        ),
    ],
)
def test_credentials_in_a_uri_are_refused_and_never_shown(tmp_path, uri):
    (tmp_path / "job.yaml").write_text(
        f"input: {{images: '{uri}'}}\noutput: {{uri: x}}\nsource: {{degrade: 'blur:sigma=1'}}"
    )
    for refuse in (lambda: load_job(tmp_path / "job.yaml"), lambda: read(uri)):
        with pytest.raises((ConfigError, StorageError), match="credentials") as caught:
            refuse()
        assert not any(part in str(caught.value) for part in PARTS)
    assert has_credentials(uri) and not any(part in redact(f"cannot read {uri}: no") for part in PARTS)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/a:b@c.png",
        "s3://bucket/12:30/you@home.png",
        "s3://arn:aws:s3:us-west-2:123456789012:accesspoint/scans/a@b.png",
        "https://host:8443/a@b:c.png",
        "https://host/a@b.png?page=1",
        "sftp://user@host/x:y@z.png",
        "abfs://container@account.dfs.core.windows.net/a:b@c.png",
        "zip://a.png::s3://bucket/you@home.zip",
        "/scans/a:b@c.png",
        "/scans/x.php?token=abcdefgh&sig=1.png",
        "a:b@c.png",
        "file:///scans/a:b@c.png?sig=1",
        "s3://bucket/x.tar#512+9/a:b@c.png",
    ],
)
def test_names_that_look_like_credentials_are_kept(uri):
    assert not has_credentials(uri)
    if "?" not in uri:
        assert redact(f"cannot read {uri}: no") == f"cannot read {uri}: no"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, SECRET)
            for name in (
                *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "FSSPEC_S3_SECRET", "FSSPEC_GCS_TOKEN"),
                *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_SAS_TOKEN", "GOOGLE_API_KEY"),
            )
        ),
        ("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=scans;AccountKey={SECRET};EndpointSuffix=core"),
        ("FSSPEC_S3", f'{{"key": "AKIAPLANTED", "client_kwargs": {{"aws_secret_access_key": "{SECRET}"}}}}'),
    ],
)
def test_secrets_of_the_environment_are_removed_from_messages(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert redact(f"signed with {SECRET}") == "signed with …"
    assert SECRET not in redact(f"cannot use {value}")
    assert (
        redact("s3://bucket/a@b:c.png?x=1 and sftp://user@host/x") == "s3://bucket/a@b:c.png?x=1 and sftp://user@host/x"
    )


IN_ONE_PATTERN = re.compile(  # backtracks, so that it takes quadratic time
    r"(?:(?<=s3://)|(?<=s3a://)|(?<=://)(?![^/@\s:]*:\d{1,5}[/?#]))"
    r"(?!arn:)[^/@\s:]*:(?!:)(?:[^\s\"'<>]*|[^/\s]*)(?=@)"
)


@given(st.lists(st.sampled_from(["s3://", "ftp://", "arn:", "a", "80", ":", "@", "/", "?", '"', " "]), max_size=14))
def test_redact_of_passwords_equals_one_pattern(pieces):
    text = "".join(pieces)
    assert redaction._redact_passwords(text) == IN_ONE_PATTERN.sub("…", text)


@pytest.mark.parametrize("unit", ["s3://a:", "://a:b", "://:'", "://a:b@", 'x://a:"@'])
def test_redact_searches_every_part_of_a_text_at_most_twice(monkeypatch, unit):
    searched, find_end = [], redaction._find_end

    def counted(pattern, text, start):
        searched.append(find_end(pattern, text, start) - start)
        return start + searched[-1]

    monkeypatch.setattr(redaction, "_find_end", counted)
    text = unit * 2000
    redact(text)
    assert sum(searched) <= 2 * len(text)
