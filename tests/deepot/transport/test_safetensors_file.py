"""Bytes of tensors and metadata, and back; anything else is a ValueError."""

import pytest
import torch

from deepot.transport.safetensors_file import pack, unpack_metadata, unpack_tensors


def test_pack_round_trip_keeps_tensors_and_metadata():
    tensors, metadata = {"a": torch.arange(6.0).reshape(2, 3).mT, "b": torch.tensor([1])}, {"x": "y", "n": 2}
    data = pack(tensors, metadata)
    assert unpack_metadata(data) == metadata
    found = unpack_tensors(data)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_pack_does_not_depend_on_the_order_of_metadata():
    assert pack({}, {"x": 1, "y": 2}) == pack({}, {"y": 2, "x": 1})


def test_unpack_metadata_without_metadata_is_empty():
    assert unpack_metadata(b"\x02\0\0\0\0\0\0\0{}") == {}


NESTED = b"[" * 100_000


@pytest.mark.parametrize(
    "header", [b"", b"null", b"[1]", b'{"__metadata__": 3}', b'{"__metadata__": {"deepot": "["}}', NESTED]
)
def test_unpack_metadata_of_a_malformed_header_raises(header):
    with pytest.raises(ValueError, match="malformed header"):
        unpack_metadata(len(header).to_bytes(8, "little") + header)


@pytest.mark.parametrize("data", [b"", b"junk junk junk", pack({"a": torch.zeros(9)}, {})[:-1]])
def test_unpack_tensors_of_another_file_raises(data):
    with pytest.raises(ValueError, match="Error while deserializing"):
        unpack_tensors(data)
