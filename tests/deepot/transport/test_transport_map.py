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


def test_repr_is_five_lines_on_what_the_map_was_fitted_from(transport):
    lines = repr(transport).splitlines()
    assert len(lines) == 5
    assert "gaussian" in lines[0] and f"{transport.channels} channels" in lines[0]
    assert "unpaired calibration: 3 restored photos and 3 natural photos of other scenes" in lines[1]
    assert transport.info.uncertainty_summary in lines[2]
    assert max(map(len, lines)) < 120, "no tensor is printed"


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


def negative(matrix):
    return matrix - 2 * torch.eye(len(matrix)).double() * matrix.trace()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {"matrix": -m["matrix"]}, "matrix has a negative variance"),
        (lambda m: {"matrix": m["matrix"].triu() * 2}, "matrix is not symmetric"),
        (lambda m: {"matrix": m["matrix"] * 1e80}, r"matrix has numbers as large as \de\+8"),
        (lambda m: {"matrix": m["matrix"] * float("inf")}, "matrix is not made of finite float64 numbers"),
        (lambda m: {"target_mean": m["target_mean"].float()}, "target_mean is not made of finite float64 numbers"),
        (lambda m: {"reference_covariance": -m["reference_covariance"]}, "covariance has a negative variance"),
        (lambda m: {"reference_covariance": negative(m["reference_covariance"])}, "covariance has a negative variance"),
        (lambda m: {"reference_covariance": m["reference_covariance"] * 0}, "its natural patches are all equal"),
        (
            lambda m: {"reference_mean": m["reference_mean"] * float("nan")},
            "mean is not made of finite float64 numbers",
        ),
        (lambda m: {"reference_mean": m["reference_mean"][None]}, r"mean of shape \(1, 4\) instead of \(4,\)"),
    ],
)
def test_from_bytes_of_numbers_that_no_fit_gives_raises(transport, change, message):
    sound = {
        **transport.parameters,
        **{f"reference_{name}": value for name, value in transport.reference._asdict().items()},
    }
    with pytest.raises(MapError, match=r"^x is not a deepot map \(.*" + message) as caught:
        TransportMap.from_bytes(pack_changed(transport, change(sound)), "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [
        {"patch_size": 2}, {"patch_size": -1}, {"patch_size": 0}, {"patch_size": "1"}, {"patch_size": 1.0},
        {"patch_size": True}, {"patch_size": None}, {"patch_size": 3}, {"patch_size": 10**30 + 1},
        {"wasserstein2": float("nan")}, {"wasserstein2": "1"}, {"wasserstein2": None}, {"wasserstein2": -1.0},
        {"wasserstein2": float("inf")}, {"shrinkage_factor": [1]}, {"shrinkage_se": float("nan")},
        {"source_images": -3}, {"source_patches": 1.5}, {"reference_images": None}, {"effective_images": "many"},
        {"standard_error": float("nan")}, {"calibration": "none"}, {"calibration": None}, {"autoencoder": 5},
        {"autoencoder_sha256": None}, {"kind": ["gaussian"]},
    ],
    ids=str,
)  # fmt: skip
def test_from_bytes_of_fields_of_other_types_or_values_raises(transport, metadata):
    with pytest.raises(MapError, match=r"^x is not a deepot map") as caught:
        TransportMap.from_bytes(pack_changed(transport, **metadata), "x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_check_autoencoder_with_another_number_of_channels_raises(transport, smooth_autoencoder):
    info = replace(transport.info, autoencoder_sha256=smooth_autoencoder.sha256)
    with pytest.raises(MapError, match="the map is of latents with 4 channels, but those of the autoencoder"):
        replace(transport, info=info).check_autoencoder(replace(smooth_autoencoder, channels=9))
