"""A network in the sensor: its results come with the frames of `imx500:`, and from nowhere else."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from edge import app, cli
from edge.capture import registry
from edge.capture.picture import Picture, Sensed
from edge.config.reading import parse
from edge.errors import ConfigError, DelegateError, ModelError, SourceError
from edge.model import model_file
from edge.model.backends.imx500 import SENSOR_WH
from edge.model.loaded import load_model

MAGIC = b"9464"
pytestmark = pytest.mark.board

TOML = """
[model]
name = "sensor"
labels = ["person", "cup"]
score_threshold = 0.5
[input]
size_wh = [4056, 3040]
color = "rgb"
mean = [0, 0, 0]
std = [1, 1, 1]
resize = "stretch"
[outputs]
rows = "detections"
[head]
kind = "detections"
boxes = "xyxy"
units = "ratios"
"""
# The middle of the sensor, and what is too unlikely.
ROWS = np.array([[0.25, 0.25, 0.75, 0.75, 0.875, 1], [0, 0, 1, 1, 0.25, 0]], np.float32)
# 16:9 out of a sensor of 4:3: its upper and lower 379 rows are not in the frame.
CROP_XYWH = (0, 379, 4056, 2282)


@pytest.fixture
def files(tmp_path):
    """Return the paths of a made-up network and of its description."""
    network, description = tmp_path / "ssd_pp.rpk", tmp_path / "ssd.toml"
    network.write_bytes(MAGIC + struct.pack(">I", 8) + bytes(64))
    description.write_text(TOML)
    return network, description


@pytest.fixture
def model(files):
    return load_model(model_file.read(files[0], description=files[1]), delegate="imx500")


def picture(network, *, rows=ROWS, crop_xywh=CROP_XYWH):
    sensed = Sensed(rows, network.resolve(), crop_xywh) if network else None
    return Picture(np.zeros((720, 1280, 3), np.uint8), 1, 1, 1, sensed=sensed)


def test_boxes_of_the_sensor_lie_where_the_frame_shows_them(model, files):
    found = model(picture(files[0]))

    width, height = SENSOR_WH
    top, bottom = ((share * height - 379) * 720 / 2282 for share in (0.25, 0.75))
    assert found.class_ids.tolist() == [1]
    assert found.scores.tolist() == [0.875]
    assert found.boxes[0] == pytest.approx([320, top, 960, bottom], abs=1e-3)
    assert width * 0.25 * 1280 / 4056 == 320


def test_what_a_frame_showed_is_gone_with_the_next(model, files):
    assert len(model(picture(files[0]))) == 1
    assert len(model(picture(files[0], rows=ROWS[:0]))) == 0
    assert len(model(picture(files[0], rows=np.repeat(ROWS[:1], 500, axis=0)))) == 100


@pytest.mark.parametrize("other", ["another network", "another source"])
def test_a_frame_that_the_network_never_saw_is_refused(model, files, tmp_path, other):
    there = tmp_path / "other.rpk" if other == "another network" else None

    with pytest.raises(SourceError, match=r"ssd_pp\.rpk runs in the sensor .* source = .imx500:"):
        model(picture(there))


def test_a_run_of_the_camera_gives_its_results(files, monkeypatch):
    class Camera:
        live = False

        def read(self, buffer):
            return picture(files[0])

        def interrupt(self):
            pass

        close = interrupt

    monkeypatch.setattr(registry, "open_source", lambda *_: Camera())
    config = parse(
        {
            "camera": {"source": f"imx500:{files[0]}"},
            "model": {"file": files[0], "description": files[1], "delegate": "imx500"},
        }
    )
    seen = []

    with app.opened(config, publish=False) as parts:
        parts.pipeline([lambda one: seen.append(one.result.class_ids.tolist())]).run(max_frames=3)

    assert seen == [[1]] * 3


def test_workers_are_refused(files):
    with pytest.raises(ConfigError, match="would queue for one device, delegate 'imx500'"):
        parse({"model": {"file": files[0], "delegate": "imx500", "workers": 2}})


def test_it_runs_under_its_own_name_only(files):
    file = model_file.read(files[0], description=files[1])
    with pytest.raises(
        DelegateError, match=r'AI Camera only: set \[model\] delegate = "imx500" and'
    ):
        load_model(file)
    with pytest.raises(DelegateError, match=r'"hailo" runs \.hef files, found a \.rpk'):
        load_model(file, delegate="hailo")
    with pytest.raises(DelegateError, match="no invoke to time"):
        load_model(file, delegate="imx500").invoke_bare()


def test_a_description_of_another_image_is_refused(files):
    files[1].write_text(TOML.replace("[4056, 3040]", "[320, 320]"))

    with pytest.raises(ModelError, match=r"expected \[input\] size_wh = \[4056, 3040\].*\[320, 3"):
        load_model(model_file.read(files[0], description=files[1]), delegate="imx500")


def test_a_network_without_a_description_or_cut_off_is_refused(files):
    with pytest.raises(ModelError, match="does not say what its outputs mean"):
        model_file.read(files[0])
    files[0].write_bytes(files[0].read_bytes()[:10])
    with pytest.raises(ModelError, match="damaged or cut off"):
        model_file.read(files[0], description=files[1])


def test_check_and_inspect_need_no_camera(files, tmp_path, capsys):
    config = tmp_path / "device.toml"
    config.write_text(
        f'[camera]\nsource = "imx500:{files[0]}"\n'
        f'[model]\nfile = "{files[0]}"\ndescription = "{files[1]}"\ndelegate = "imx500"\n'
    )

    assert cli.main(["check", str(config)]) == 0, capsys.readouterr().err
    assert "note: this delegate was tried on picamera2's real class" in capsys.readouterr().out
    assert cli.main(["inspect", str(files[0]), "--description", str(files[1]), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["delegate"] == "imx500"


def test_labels_beyond_the_sensors_classes_are_left_out(model, files):
    rows = np.tile(ROWS[:1], (3, 1))
    rows[:, 5] = [0, 7, -1]

    assert model(picture(files[0], rows=rows)).class_ids.tolist() == [0]
