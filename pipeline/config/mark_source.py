"""Whether results state how they were made, and what they state of their inputs."""

from enum import StrEnum

from pipeline.redaction import has_credentials


class MarkSource(StrEnum):
    """What a mark states of the photo that a result was made from, besides its identifier, a hash of its content.

    NAME: its file name, without folders.
    URI: its complete path or URI.
    HASH: nothing else.
    OFF: results have no marks.
    """

    NAME = "name"
    URI = "uri"
    HASH = "hash"
    OFF = "off"

    def stated_path(self, file_name: str, uri: str) -> str:
        """Return what is stated of the place of a photo; never a URI with a password or a signature.

        Args:
            file_name: its name in the input.
            uri: its complete URI.

        Returns:
            The name or URI; empty if nothing is stated.
        """
        if self is MarkSource.NAME:
            return file_name.rpartition("/")[2]
        return uri if self is MarkSource.URI and not has_credentials(uri) else ""
