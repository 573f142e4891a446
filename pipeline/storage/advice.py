"""What a person can do about storage that refuses access or has no library, by the protocol of its URI."""

import getpass
import os
import platform
import shutil

_AZURE = (
    "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or "
    "AZURE_STORAGE_SAS_TOKEN, or the machine's managed identity"
)
_GOOGLE = "GOOGLE_APPLICATION_CREDENTIALS, 'gcloud auth application-default login', or the machine's service account"
_HUGGING_FACE = "HF_TOKEN, or 'hf auth login'"
_S3 = "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's instance role"

_CREDENTIALS = {
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), _AZURE),
    **dict.fromkeys(("gs", "gcs"), _GOOGLE),
    "hf": _HUGGING_FACE,
    **dict.fromkeys(("s3", "s3a"), _S3),
}
"""Protocol → where its library looks for credentials; the settings of fsspec for all others."""

_PACKAGES = {
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    "hf": "huggingface_hub",
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "smb": "smbprotocol",
    **dict.fromkeys(("webdav", "dav"), "webdav4"),
    "oci": "ocifs",
    "oss": "ossfs",
    "box": "boxfs",
    "dropbox": "dropboxdrivefs",
    "github": "requests",
}
"""Protocol → the package on PyPI that fsspec needs for it."""


_advice_of_process = [""]


def set_access_advice(advice: str) -> None:
    """Set what is added to the messages of this process when storage refuses access."""
    _advice_of_process[0] = advice


def node_name() -> str:
    """Return the name of this machine, as it calls itself."""
    return platform.node() or "this machine"


def describe_credentials(uri: str) -> str:
    """Return what to check when the storage of a URI refuses access."""
    protocol = _protocol(uri)
    if protocol in ("", "file", "local"):
        return f"check the owner and the permissions of the file and its folders; the program runs as {_user()}"
    places = _CREDENTIALS.get(protocol, f"FSSPEC_{protocol.upper()}")
    advice = f"; {_advice_of_process[0]}" if _advice_of_process[0] else ""
    return f"{protocol}:// reads its credentials from {places}{advice}"


def describe_missing_package(uri: str, error: ImportError) -> str:
    """Return which package to install for the storage of a URI."""
    protocol = _protocol(uri)
    package = _PACKAGES.get(protocol)
    advice = f"run pip install {package}" if package else " ".join(str(error).split())
    return f"the package that reads {protocol}:// is not installed on {node_name()}: {advice}"


def describe_missing_bucket(uri: str) -> str:
    """Return that an object cannot be written, as there is no such bucket, and what to do."""
    protocol, _, path = uri.partition("://")
    return (
        f"nothing can be written to {protocol}://{path.partition('/')[0]}: there is no such bucket; "
        "create it, or check its spelling"
    )


def describe_endpoint(uri: str) -> str:
    """Return which setting names the server of a URI that cannot be reached; empty if there is none."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if _protocol(uri) in ("s3", "s3a") and endpoint:
        return f"nothing answers at {endpoint}, which AWS_ENDPOINT_URL names: start that server or correct the variable"
    return ""


def describe_full_disk(path: str, n_bytes: int | None) -> str:
    """Return how much room a write needs and how much there is.

    Args:
        path: a path on the disk.
        n_bytes: how many bytes were to be written; None if that is not known.
    """
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    needed = "" if n_bytes is None else f"{n_bytes:,} bytes are needed and "
    return f"No space left on the disk of {folder}: {needed}{free:,} are free; make room and run the same command again"


def _protocol(uri: str) -> str:
    """Return the protocol of a URI, that of the storage itself where caches are chained before it."""
    return uri.partition("://")[0].rpartition("::")[2].lower() if "://" in uri else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "a user without a name"
