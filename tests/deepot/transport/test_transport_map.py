"""The map's file: what is written is read, and anything else is refused."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from deepot.errors import MapError
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.moments import Moments
from deepot.transport.safetensors_file import pack
from deepot.transport.transport_map import MAP_FORMAT, TransportMap
from tests.deepot.transport.test_map_fit import fit, make_blocks


@pytest.fixture(scope="module")
def transport():
    return fit(make_blocks(3, 1.0, 0), make_blocks(3, 2.0, 1), CalibrationKind.UNPAIRED)


def pack_changed(transport, tensors=None, **metadata):
    """The file of a map with other tensors or metadata."""
    reference = {f"reference_{name}": tensor for name, tensor in transport.reference._asdict().items()}
    fields = {"format": MAP_FORMAT, **asdict(transport.info), **metadata}
    return pack({**transport.parameters, **reference, **(tensors or {})}, fields)


def test_file_round_trip_keeps_everything(transport, tmp_path):
    transport.save(tmp_path / "map.safetensors")
    for again in (TransportMap.load(tmp_path / "map.safetensors"), TransportMap.from_bytes(transport.to_bytes())):
        assert (again.info, again.sha256) == (transport.info, transport.sha256)
        assert again.parameters.keys() == transport.parameters.keys()
        assert all(torch.equal(again.parameters[name], transport.parameters[name]) for name in transport.parameters)
        assert torch.equal(again.reference.covariance, transport.reference.covariance)
    assert TransportMap.from_bytes(pack_changed(transport)).sha256 == transport.sha256


@pytest.mark.parametrize("file_format", ["deepot-map-5", "deepot-map-6", "deepot-map-99"])
def test_from_bytes_of_another_version_raises(transport, file_format):
    with pytest.raises(MapError, match="x was fitted by another version of deepot: fit it again"):
        TransportMap.from_bytes(pack_changed(transport, format=file_format), "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x is not a deepot map"),
        (b"12345678", "x is not a deepot map"),
        (json.dumps({}).encode(), "x is not a deepot map"),
        (Moments.empty(3).to_bytes(), "its format is 'deepot-moments-1'"),
    ],
    ids=["empty", "short", "json", "moments"],
)
def test_from_bytes_of_another_file_raises(data, message):
    with pytest.raises(MapError, match=message):
        TransportMap.from_bytes(data, "x")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"matrix": torch.zeros(3, 3).double()}, r"matrix of shape \(3, 3\) instead of \(4, 4\)"),
        ({"matrix": torch.zeros(4, 4)}, "matrix is not made of finite float64 numbers"),
        ({"source_mean": torch.full((4,), float("nan")).double()}, "source_mean is not made of finite float64 numbers"),
        ({"reference_covariance": torch.zeros(4).double()}, r"covariance of shape \(4,\) instead of \(4, 4\)"),
        ({"bounds": torch.zeros(2).double()}, "its tensors are bounds, matrix, source_mean, target_mean instead of"),
    ],
)
def test_from_bytes_of_unfitting_tensors_raises(transport, tensors, message):
    with pytest.raises(MapError, match=message):
        TransportMap.from_bytes(pack_changed(transport, tensors), "x")


@pytest.mark.parametrize("metadata", [{"unknown": 1}, {"kind": 5}, {"kind": None}])
def test_from_bytes_of_unfitting_metadata_raises(transport, metadata):
    with pytest.raises(MapError, match="x is not a deepot map"):
        TransportMap.from_bytes(pack_changed(transport, **metadata), "x")


def test_sha256_changes_with_parameters_and_info(transport):
    parameters = {**transport.parameters, "matrix": transport.parameters["matrix"] * 2}
    others = [replace(transport, parameters=parameters), replace(transport, info=replace(transport.info, patch_size=3))]
    assert len({transport.sha256, *(other.sha256 for other in others)}) == 3
