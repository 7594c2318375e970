"""A `.hef` on a chip that a stand-in with HailoRT's signatures plays."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import cli
from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import model_file
from edge.model.backends.hailort import rows_inplace
from edge.model.chip_files import HEF_MAGIC as MAGIC
from edge.model.default import default_model_path
from edge.model.loaded import load_model

pytestmark = pytest.mark.board

STAND_INS = Path(__file__).resolve().parents[3] / "support" / "stand_ins"
CAMERA_IN = {"name": "net/in", "shape": [64, 64, 3], "order": "NHWC", "type": "UINT8"}
DETECTIONS = {"name": "net/nms", "order": "HAILO_NMS_BY_CLASS", "type": "FLOAT32", "nms": [3, 4]}
# One cup (class 1) in the upper half, two birds (class 2), of which one is unlikely.
GIVES = [0, 1, 0.0, 0.25, 0.5, 0.75, 0.875, 2, 0.5, 0.0, 1.0, 0.5, 0.75, 0.5, 0.5, 1.0, 1.0, 0.125]
TOML = """
[model]
name = "chip"
labels = ["person", "cup", "bird"]
score_threshold = 0.5
[input]
size_wh = [64, 64]
color = "rgb"
mean = [0, 0, 0]
std = [1, 1, 1]
resize = "stretch"
[outputs]
rows = "net/nms"
[head]
kind = "detections"
boxes = "yxyx"
units = "ratios"
"""


@pytest.fixture
def _runtime(monkeypatch):
    monkeypatch.syspath_prepend(STAND_INS)
    monkeypatch.delitem(sys.modules, "hailo_platform", raising=False)
    yield
    sys.modules.pop("hailo_platform", None)


def write(folder, *, inputs=(CAMERA_IN,), outputs=(DETECTIONS,), gives=None, toml=TOML):
    """Write a made-up `.hef` with its TOML; return both paths."""
    body = json.dumps(
        {"inputs": inputs, "outputs": outputs, "gives": gives or {"net/nms": GIVES}}
    ).encode()
    path, description = folder / "chip.hef", folder / "chip.toml"
    path.write_bytes(MAGIC + struct.pack(">II", 2, len(body)) + body)
    description.write_text(toml)
    return path, description


def loaded(folder, *, delegate="hailo", **changes):
    path, description = write(folder, **changes)
    return load_model(model_file.read(path, description=description), delegate=delegate)


@pytest.mark.usefixtures("_runtime")
def test_boxes_of_the_chip_come_out_on_the_source_frame(tmp_path):
    model = loaded(tmp_path)

    for _ in range(2):  # what a frame leaves in the buffers must not come back
        found = model(np.zeros((200, 400, 3), np.uint8))
        assert found.class_ids.tolist() == [1, 2]
        assert found.scores.tolist() == [0.875, 0.75]
        assert found.boxes.tolist() == [[100, 0, 300, 100], [0, 100, 200, 200]]
    assert str(model.ran) == "hailort 4.23.0 on hailo"


@pytest.mark.usefixtures("_runtime")
def test_raw_heads_keep_the_chips_quantisation_where_it_can_be_kept(tmp_path):
    head = {
        "name": "net/a",
        "shape": [2, 2, 3],
        "order": "NHWC",
        "type": "UINT8",
        "scale": 0.5,
        "zp": 7.0,
    }
    outputs = [
        head,
        head | {"name": "net/b", "type": "UINT16"},
        head | {"name": "net/c", "zp": 6.5},
    ]
    toml = TOML.replace('rows = "net/nms"', 'classes = "net/a"').split("[head]")[0]
    path, description = write(
        tmp_path,
        outputs=outputs,
        gives={"net/a": list(range(12))},
        toml=toml + '[head]\nkind = "segmentation"\nactivation = "softmax"\n',
    )
    model = load_model(model_file.read(path, description=description), delegate="hailo")
    heads = model.output_buffers()

    model.invoke(model.input_buffers()[0], out=heads)

    tensors = model._backend.tensors()[1]
    assert [tensor.dtype.name for tensor in tensors] == ["uint8", "float32", "float32"]
    assert (tensors[0].quant.scale, tensors[0].quant.zero_point) == (0.5, 7)
    assert heads["classes"].ravel().tolist() == list(range(12))


@pytest.mark.usefixtures("_runtime")
def test_pixels_reach_the_chip_as_they_are(tmp_path):
    model = loaded(tmp_path)
    buffer = model.input_buffers()[0]
    buffer.fill(np.full((10, 10, 3), (10, 20, 30), np.uint8))

    assert buffer.tensor.dtype == np.uint8
    assert buffer.tensor[0, 5, 5].tolist() == [30, 20, 10]


def refusal(kind, folder, **changes):
    with pytest.raises(kind) as said:
        loaded(folder, **changes)
    assert "\n" not in str(said.value)
    return str(said.value)


@pytest.mark.usefixtures("_runtime")
def test_a_chip_that_cannot_be_had_is_told(tmp_path, monkeypatch):
    assert "no device that it can use (libhailort" in refusal(
        DelegateError, tmp_path, delegate="hailo:0000:99:00.0"
    )
    monkeypatch.setenv("HAILO_STAND_IN", "absent")
    said = refusal(DelegateError, tmp_path)
    assert said.startswith('delegate "hailo": HailoRT found no device that it can use')
    assert "hailortcli fw-control identify" in said


@pytest.mark.usefixtures("_runtime")
def test_a_chip_that_is_lost_ends_the_run_with_a_sentence(tmp_path, monkeypatch):
    model = loaded(tmp_path)
    monkeypatch.setenv("HAILO_STAND_IN", "1")
    model(np.zeros((8, 8, 3), np.uint8))

    with pytest.raises(DelegateError, match='"hailo" failed while it ran: Received a timeout'):
        model(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.usefixtures("_runtime")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"delegate": "cpu"}, 'set [model] delegate = "hailo"', id="no delegate"),
        pytest.param(
            {"inputs": [CAMERA_IN | {"order": "YUY2"}]}, "net/in wants YUY2 pixels", id="input"
        ),
        pytest.param(
            {"outputs": [DETECTIONS | {"order": "HAILO_NMS_WITH_BYTE_MASK"}]},
            "net/nms is HAILO_NMS_WITH_BYTE_MASK, which is not read here",
            id="output",
        ),
        pytest.param(
            {"gives": {"net/nms": [99, *[0.5] * 60]}}, "more boxes than there can be", id="boxes"
        ),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, changes, said):
    with pytest.raises((DelegateError, ModelError)) as found:
        loaded(tmp_path, **changes)(np.zeros((8, 8, 3), np.uint8))
    assert said in str(found.value)


@pytest.mark.usefixtures("_runtime")
def test_a_tflite_is_not_for_the_chip():
    with pytest.raises(DelegateError, match=r'"hailo" runs \.hef files, found a \.tflite'):
        load_model(model_file.read(default_model_path()), delegate="hailo")


@pytest.mark.skipif(bool(find_spec("hailo_platform")), reason="hailo_platform is installed here")
def test_a_missing_package_says_what_to_install(tmp_path):
    with pytest.raises(DependencyError, match=r"needs HailoRT's package .* apt install hailo-all"):
        loaded(tmp_path)


def test_a_hef_without_a_description_says_what_to_write(tmp_path):
    path, _ = write(tmp_path)

    with pytest.raises(ModelError, match=r"does not say what its outputs mean; .*description = "):
        model_file.read(path)


@pytest.mark.parametrize("cut", [3, 11, 40], ids=["magic", "header", "graph"])
def test_a_hef_that_is_cut_off_is_refused(tmp_path, cut):
    path, description = write(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(ModelError, match=r"damaged or cut off|expected a TensorFlow Lite"):
        model_file.read(path, description=description)


def edge(folder, *words, **environment):
    """Run the command where the stand-in can be imported."""
    places = {"PYTHONPATH": str(STAND_INS), "XDG_STATE_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, words)],
        env=os.environ | places | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_hef_runs_from_the_command_line(tmp_path):
    path, description = write(tmp_path)
    cv2.imwrite(str(tmp_path / "red.png"), np.zeros((200, 400, 3), np.uint8))
    words = ("--model", path, "--description", description, "--source", f"file:{tmp_path}/red.png")

    done = edge(tmp_path, "run", *words, "--delegate", "hailo")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["detections"]
    assert [one["label"] for one in found] == ["cup", "bird"]


def test_check_says_on_what_it_was_tried(tmp_path):
    path, description = write(tmp_path)
    config = tmp_path / "device.toml"
    config.write_text(
        f'[model]\nfile = "{path}"\ndescription = "{description}"\ndelegate = "hailo"\n'
    )

    done = edge(tmp_path, "check", config, HAILO_STAND_IN="absent")

    assert done.returncode == 0, done.stderr
    assert "run by hailort 4.23.0 on hailo\nnote: this delegate was tried on classes" in done.stdout
    assert "not on hardware" in done.stdout


@pytest.mark.usefixtures("_runtime")
def test_inspect_needs_no_chip(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HAILO_STAND_IN", "absent")
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS))
    path, description = write(tmp_path)

    assert cli.main(["inspect", str(path), "--description", str(description)]) == 0
    shown = capsys.readouterr().out
    assert "runs on a Hailo chip only: set [model] delegate" in shown
    assert "detections, 12 rows, yxyx in ratios" in shown


boxes = st.lists(st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5), max_size=4)


@given(st.lists(boxes, min_size=1, max_size=6), st.lists(boxes, min_size=1, max_size=6))
def test_rows_are_what_stands_in_the_buffer_and_nothing_of_the_frame_before(before, now):
    out = np.zeros((1, 24, 6), np.float32)
    for found in (before, now):
        parts = [np.array([len(one), *np.ravel(one)], np.float32) for one in found]
        flat = np.concatenate(parts)

        used = rows_inplace(flat, classes=len(found), out=out)

        wanted = [(*box, class_id) for class_id, one in enumerate(found) for box in one]
        assert used == len(wanted)
        assert [tuple(row) for row in out[0, :used].tolist()] == wanted
        assert (out[0, used:, 4] < 0).all()


@pytest.mark.parametrize("count", [5, -1, np.inf])
def test_counts_that_cannot_be_are_refused(count):
    flat = np.full(64, count, np.float32)

    assert rows_inplace(flat, classes=2, out=np.zeros((1, 4, 6), np.float32)) is None


def test_a_count_that_is_no_number_is_refused():
    flat = np.full(64, np.nan, np.float32)

    assert rows_inplace(flat, classes=2, out=np.zeros((1, 4, 6), np.float32)) is None
