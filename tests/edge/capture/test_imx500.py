"""What the sensor of an AI Camera sends, and when; its real class where picamera2 is installed."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from edge.capture import imx500
from edge.capture.imx500 import Imx500Source, layout_of, rows_of
from edge.capture.options import PicameraOptions
from edge.capture.picamera import PicameraSource
from edge.capture.picture import Picture
from edge.capture.registry import check_source
from edge.errors import DependencyError, SourceError

pytestmark = pytest.mark.board

BOXES = np.array([[0.125, 0.25, 0.5, 1.0], [0.0, 0.0, 0.25, 0.25]], np.float32)
SCORES, CLASSES = np.array([0.75, 0.5], np.float32), np.array([3, 0], np.float32)


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "ssd_pp.rpk"
    path.write_bytes(b"9464" + bytes(60))
    return path


def facts(**changes):
    """Return what a network says of itself, as `NetworkIntrinsics` has it."""
    known = {"task": "object detection", "postprocess": None, "bbox_normalization": None,
             "bbox_order": None}  # fmt: skip
    return SimpleNamespace(**known | changes)


class Sensor:
    """Obeys `IMX500`: gives these results, one a frame."""

    network_intrinsics = facts()
    camera_num = 1
    outputs = ()

    def __init__(self, network_file, camera_id="", tensor_injection=False):  # noqa: FBT002
        print("IMX500 firmware update progress bar is not available")
        self._outputs = iter(self.outputs)

    def get_input_size(self):
        return (320, 320)

    def get_outputs(self, metadata, add_batch=False):  # noqa: FBT002
        return next(self._outputs)


@pytest.fixture
def camera(monkeypatch):
    """Have the camera's half give frames, and a module hold the sensor's class."""
    opened = []
    request = SimpleNamespace(get_metadata=lambda: {"ScalerCrop": (0, 379, 4056, 2282)})

    def open_camera(self, number, options):
        opened.append(number)
        self._request = request

    picture = Picture(np.zeros((8, 16, 3), np.uint8), 1, 1, 1)
    monkeypatch.setattr(PicameraSource, "__init__", open_camera)
    monkeypatch.setattr(PicameraSource, "read", lambda *_: picture)
    package, devices = ModuleType("picamera2"), ModuleType("picamera2.devices")
    package.devices, devices.IMX500 = devices, Sensor
    monkeypatch.setitem(sys.modules, "picamera2", package)
    monkeypatch.setitem(sys.modules, "picamera2.devices", devices)
    return opened


def test_frames_come_with_what_the_sensor_saw_and_those_without_are_passed_over(
    camera, network, monkeypatch, capsys
):
    monkeypatch.setattr(Sensor, "outputs", [None, None, [BOXES, SCORES, CLASSES, np.ones(1)]])

    source = Imx500Source(network, PicameraOptions())
    picture = source.read(None)

    assert camera == [1]
    assert capsys.readouterr().out == ""
    assert picture.size_wh == (16, 8)
    assert picture.sensed.crop_xywh == (0, 379, 4056, 2282)
    assert picture.sensed.network == network.resolve()
    assert picture.sensed.rows.tolist() == [
        [0.25, 0.125, 1.0, 0.5, 0.75, 3],
        [0.0, 0.0, 0.25, 0.25, 0.5, 0],
    ]


@pytest.mark.usefixtures("camera")
def test_a_sensor_without_results_is_told(network, monkeypatch):
    monkeypatch.setattr(Sensor, "outputs", [None, None])
    monkeypatch.setattr(imx500, "START_S", -1.0)

    with pytest.raises(SourceError, match="frames but no result for"):
        Imx500Source(network, PicameraOptions()).read(None)


@pytest.mark.usefixtures("camera")
def test_no_camera_and_another_picamera2_are_one_sentence_each(network, monkeypatch):
    def refuse(self, network_file):
        raise RuntimeError("IMX500: Requested camera dev-node not found")

    def misread(self, metadata):
        raise ValueError("tensor info length 10 does not match expected size 12")

    monkeypatch.setattr(Sensor, "get_outputs", misread)
    with pytest.raises(
        SourceError, match=r"cannot read what the sensor sends \(tensor info length"
    ):
        Imx500Source(network, PicameraOptions()).read(None)
    monkeypatch.setattr(Sensor, "__init__", refuse)
    with pytest.raises(SourceError, match=r"expected an AI Camera that takes .*dev-node not found"):
        Imx500Source(network, PicameraOptions())


@pytest.mark.skipif(bool(importlib.util.find_spec("picamera2")), reason="picamera2 is installed")
def test_a_missing_package_says_what_to_install(network):
    with pytest.raises(DependencyError, match="apt install imx500-all python3-picamera2"):
        Imx500Source(network, PicameraOptions())


def test_boxes_are_read_as_the_network_says(network):
    def sensor(**changes):
        return SimpleNamespace(
            network_intrinsics=facts(**changes), get_input_size=lambda: (320, 320)
        )

    assert layout_of(sensor(), network) == {"x_first": False, "side_px": 1}
    assert layout_of(sensor(bbox_order="xy", bbox_normalization=True), network) == {
        "x_first": True,
        "side_px": 320,
    }
    rows = rows_of([BOXES * 320, SCORES, CLASSES], x_first=True, side_px=320)
    assert rows[0].tolist() == [0.125, 0.25, 0.5, 1.0, 0.75, 3]
    with pytest.raises(SourceError, match="found nanodet in"):
        layout_of(sensor(postprocess="nanodet"), network)
    with pytest.raises(SourceError, match="found classification in"):
        layout_of(sensor(task="classification"), network)


@pytest.mark.parametrize(
    "outputs",
    [[], [BOXES], [BOXES.T, SCORES, CLASSES], [BOXES, SCORES[:1], CLASSES]],
    ids=["none", "one", "turned", "lengths"],
)
def test_results_of_another_shape_are_refused(outputs):
    with pytest.raises(SourceError, match=r"expected boxes \(N, 4\), scores \(N,\)"):
        rows_of(outputs, x_first=False, side_px=1)


def test_what_the_camera_cannot_do_is_refused_before_it_is_opened(network):
    check_source(f"imx500:{network}", PicameraOptions())
    for location, options, said in (
        ("/missing.rpk", PicameraOptions(), "expected a network of an AI Camera"),
        (str(network), PicameraOptions(rotate=180), "leave rotate out"),
        (str(network), PicameraOptions(via="rpicam-vid"), "leave via out"),
    ):
        with pytest.raises(SourceError, match=said):
            check_source(f"imx500:{location}", options)


# What picamera2 imports for displays, packages and images, which no frame here needs.
UNNEEDED = (
    "pykms", "prctl", "libarchive", "libarchive.read", "pidng", "pidng.core", "pidng.camdefs",
    "Imath", "OpenEXR", "tqdm",
)  # fmt: skip


def test_the_real_class_reads_made_up_metadata(monkeypatch):
    """What runs is picamera2's own: the struct, the shapes, and what a network says of itself."""
    pytest.importorskip("libcamera", reason="needs libcamera's Python bindings")
    for name in UNNEEDED:
        monkeypatch.setitem(sys.modules, name, mock.MagicMock())
    real = pytest.importorskip("picamera2.devices.imx500.imx500", reason="needs picamera2")
    sensor = real.IMX500.__new__(real.IMX500)
    sensor.device_fd = None
    said = {"task": "object detection", "cpu": {"bbox_order": "xy", "bbox_normalization": True}}
    sensor._IMX500__cfg = {
        "intrinsics": real.NetworkIntrinsics(said), "input_tensor_size": (320, 320),
    }  # fmt: skip
    info = real.CnnOutputTensorInfoExported()
    info.network_name, info.num_tensors = b"ssd", 3
    for tensor, shape in zip(info.info, [(2, 4), (2,), (2,)], strict=False):
        tensor.num_dimensions, tensor.tensor_data_num = len(shape), int(np.prod(shape))
        tensor.size[: len(shape)] = shape
    values = np.concatenate([(BOXES * 320).ravel(order="F"), SCORES, CLASSES])
    metadata = {
        "CnnOutputTensor": tuple(values.tolist()),
        "CnnOutputTensorInfo": ctypes.string_at(ctypes.addressof(info), ctypes.sizeof(info)),
    }

    rows = rows_of(sensor.get_outputs(metadata), **layout_of(sensor, "ssd_pp.rpk"))

    assert rows.tolist() == [[0.125, 0.25, 0.5, 1.0, 0.75, 3], [0.0, 0.0, 0.25, 0.25, 0.5, 0]]
    assert sensor.get_outputs({}) is None
    with pytest.raises(ValueError, match="does not match expected size"):
        sensor.get_outputs(metadata | {"CnnOutputTensorInfo": b"short"})
