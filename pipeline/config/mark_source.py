"""Whether results state how they were made, and what they state of their inputs."""

from enum import StrEnum


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
