"""A decoded YOLO is cut at its raw grids, and our runtime's decode gives what its own tail gave."""

from __future__ import annotations

import numpy as np
import pytest
from litert_runs import run

from converter.choice import Choice, InputChoice, Origin
from converter.graph.foreign import read_foreign
from converter.graph.writing import write
from converter.importers.facts import complete
from converter.importers.heads.finder import find
from converter.importers.tflite_probe import shapes_of
from edge.errors import ConfigError, ModelError
from edge.heads import HEADS
from edge.model.loaded import load_model
from edge.model.model_file import read

pytestmark = pytest.mark.converter

SIDE = 64
ANCHORS = "10,13 16,30 / 30,61 62,45"
THRESHOLD = 0.3
WHOLE = InputChoice(color="rgb", mean=(0.0,) * 3, std=(1.0,) * 3, resize="stretch")


def graph_of(path):
    return read_foreign(path, shapes_of=lambda flatbuffer: shapes_of(flatbuffer, path))


def found_in(path, *, anchors=None, family=None):
    return find(graph_of(path), path, family=family, choice=Choice(anchors=anchors))


def by_width(outputs):
    """Return an export's outputs, `(N, columns)` each, by the number of columns."""
    return {value.shape[-1]: value.reshape(-1, value.shape[-1]) for value in outputs.values()}


def corners(rows, unit=1.0):
    center, half = rows[:, :2] * unit, rows[:, 2:4] * unit / 2
    return np.hstack([center - half, center + half])


def with_objectness(rows, unit=1.0):
    return corners(rows, unit), rows[:, 4:5] * rows[:, 5:]


def from_columns(outputs, unit=1.0):
    (value,) = outputs.values()
    rows = value[0].T
    return corners(rows, unit), rows[:, 4:]


def from_grids(outputs):
    return with_objectness(np.concatenate([value.reshape(-1, 8) for value in outputs.values()]))


def from_best(outputs):
    (value,) = outputs.values()
    scores = np.zeros((len(value[0]), 3), np.float32)
    scores[np.arange(len(scores)), value[0, :, 5].astype(int)] = value[0, :, 4]
    return value[0, :, :4], scores


# How each export is read: boxes xyxy in pixels, and scores.
READ = {
    "yolov2": lambda outputs: (corners(by_width(outputs)[7], SIDE), by_width(outputs)[7][:, 4:]),
    "yolov3": lambda outputs: (by_width(outputs)[4][:, [1, 0, 3, 2]], by_width(outputs)[3]),
    "yolov4": from_grids,
    "yolov5": lambda outputs: with_objectness(by_width(outputs)[8], SIDE),
    "yolov6": lambda outputs: with_objectness(by_width(outputs)[8]),
    "yolov7": lambda outputs: with_objectness(by_width(outputs)[8], SIDE),
    "yolov8": lambda outputs: from_columns(outputs, SIDE),
    "yolov8_pixels": from_columns,
    "yolov8_xyxy": lambda outputs: (by_width(outputs)[4], by_width(outputs)[3]),
    "yolov10": from_best,
    "yolox": lambda outputs: with_objectness(by_width(outputs)[8]),
    "open_batch": lambda outputs: with_objectness(by_width(outputs)[8], SIDE),
    "with_raw_grids": lambda outputs: with_objectness(by_width(outputs)[8], SIDE),
}


# By export: what `[head]` says, and of several outputs the role of each by its width.
EXPORTED = {
    "yolov2": ('kind = "decoded"\nunits = "ratios"', {}),
    "yolov3": ('kind = "decoded"\nboxes = "yxyx"', {4: "boxes", 3: "scores"}),
    "yolov5": ('kind = "decoded"\nunits = "ratios"\nobjectness = true', {}),
    "yolov6": ('kind = "decoded"\nobjectness = true', {}),
    "yolov7": ('kind = "decoded"\nunits = "ratios"\nobjectness = true', {}),
    "yolov8": ('kind = "decoded"\nunits = "ratios"', {}),
    "yolov8_pixels": ('kind = "decoded"', {}),
    "yolov8_xyxy": ('kind = "decoded"\nboxes = "xyxy"', {4: "boxes", 3: "scores"}),
    "yolov10": ('kind = "detections"', {}),
    "yolox": ('kind = "decoded"\nobjectness = true', {}),
    "yolox_raw": (
        'kind = "decoded"\nobjectness = true\nboxes = "center_exp"\nstrides_px = [8, 16]',
        {},
    ),
}
DESCRIPTION = """
[model]
name = "m"
labels = ["a", "b", "c"]
[input]
size_wh = [64, 64]
color = "rgb"
mean = [0, 0, 0]
std = [1, 1, 1]
resize = "stretch"
[head]
{head}
[outputs]
{outputs}
"""


def decoded(found, path, image):
    """Return what our runtime makes of the raw heads: boxes, scores and class ids, best first."""
    origin = Origin(name="m", source="here", labels=("a", "b", "c"))
    file = complete(found, path, family="yolo", origin=origin, choice=WHOLE)
    spec = load_model(file).spec
    thresholds = spec.description.thresholds(score=THRESHOLD, max_candidates=4096)
    decoder = HEADS[found.head.kind].decoder(spec, thresholds)
    count = decoder.find(run(file.flatbuffer, image, path))
    rows = decoder.candidates
    order = np.argsort(-rows.scores[:count])
    return rows.boxes[:count][order], rows.scores[:count][order], rows.class_ids[:count][order]


def as_exported(path, outputs, folder):
    """Return what our runtime reads from an export's own outputs, best first."""
    head, roles = EXPORTED[path.stem]
    named = {roles.get(value.shape[-1], "rows"): name for name, value in outputs.items()}
    lines = "\n".join(f'{role} = "{name}"' for role, name in named.items())
    (folder / "m.toml").write_text(DESCRIPTION.format(head=head, outputs=lines))
    spec = load_model(read(path, description=folder / "m.toml")).spec
    thresholds = spec.description.thresholds(score=THRESHOLD, max_candidates=4096)
    decoder = HEADS[spec.description.head.kind].decoder(spec, thresholds)
    count = decoder.find({role: outputs[name] for role, name in named.items()})
    rows = decoder.candidates
    order = np.argsort(-rows.scores[:count], kind="stable")
    return rows.boxes[:count][order], rows.scores[:count][order], rows.class_ids[:count][order]


def best_of_rows(boxes, scores, class_ids, count):
    """Return the best class of each box only, as v10's end shows them, and so many boxes."""
    first = [
        number
        for number, box in enumerate(boxes)
        if not np.isclose(boxes[:number], box, atol=1e-3).all(axis=1).any()
    ][:count]
    return boxes[first], scores[first], class_ids[first]


@pytest.mark.parametrize("name", READ)
def test_the_cut_and_our_decode_give_what_the_export_gave(exports, name):
    path = exports / f"{name}.tflite"
    image = np.random.default_rng(3).random((1, SIDE, SIDE, 3)).astype(np.float32)
    boxes, scores = READ[name](run(path.read_bytes(), image, path))
    rows, classes = np.nonzero(scores >= THRESHOLD)
    order = np.argsort(-scores[rows, classes])
    rows, classes = rows[order], classes[order]

    ours, our_scores, our_classes = decoded(found_in(path), path, image)

    if name == "yolov10":
        ours, our_scores, our_classes = best_of_rows(ours, our_scores, our_classes, len(rows))
    assert len(rows) > 5
    np.testing.assert_allclose(our_scores, scores[rows, classes], atol=1e-5)
    np.testing.assert_array_equal(our_classes, classes)
    np.testing.assert_allclose(ours, boxes[rows], atol=1e-2)


@pytest.mark.parametrize("name", EXPORTED)
def test_an_export_as_it_is_finds_what_its_raw_heads_find(exports, name, tmp_path):
    path = exports / f"{name}.tflite"
    image = np.random.default_rng(3).random((1, SIDE, SIDE, 3)).astype(np.float32)

    boxes, scores, class_ids = as_exported(path, run(path.read_bytes(), image, path), tmp_path)

    wanted = decoded(found_in(path), path, image)
    if name == "yolov10":  # which shows the best class of each box alone
        wanted = best_of_rows(*wanted, len(scores))
    assert len(scores) > 5
    np.testing.assert_allclose(scores, wanted[1], atol=1e-5)
    np.testing.assert_array_equal(class_ids, wanted[2])
    np.testing.assert_allclose(boxes, wanted[0], atol=1e-2)


def test_anchors_factors_and_sides_are_read_from_the_decode(exports):
    v4, v5 = (found_in(exports / f"{name}.tflite").head for name in ("yolov4", "yolov5"))

    wanted = (((10, 13), (16, 30)), ((30, 61), (62, 45)))
    assert tuple(grid.anchors_px for grid in v4.grids) == wanted
    assert tuple(grid.anchors_px for grid in v5.grids) == wanted
    assert [grid.scale_xy for grid in v4.grids] == [1.2, 1.05]
    assert (v4.sides, v5.sides) == ("exp", "square")


def test_boxes_objectness_and_scores_get_a_tensor_each(exports):
    graph = found_in(exports / "yolov5.tflite").graph

    assert {name: graph.shape(name)[3] for name in graph.outputs} == {
        "boxes0": 8, "objectness0": 2, "scores0": 6, "boxes1": 8, "objectness1": 2, "scores1": 6,
    }  # fmt: skip
    assert {graph.producers[name].kind for name in graph.outputs} == {"CONV_2D"}


def test_grids_without_a_decode_take_the_anchors_that_are_said(exports):
    path = exports / "raw_grids.tflite"
    with pytest.raises(ConfigError, match="--anchors 'W,H W,H / W,H …', pixels, 2 groups"):
        found_in(path)
    with pytest.raises(ConfigError, match="check --anchors"):
        found_in(path, anchors="1,1 2,2 3,3 / 4,4 5,5 6,6")
    image = np.random.default_rng(3).random((1, SIDE, SIDE, 3)).astype(np.float32)
    whole = run(path.read_bytes(), image, path)

    found = found_in(path, anchors=ANCHORS)

    ours = run(write(found.graph), image, path)
    coarse = next(value for value in whole.values() if value.ndim == 5)
    parts = [ours[f"{part}1"].reshape(1, 4, 4, 2, -1) for part in ("boxes", "objectness", "scores")]
    np.testing.assert_allclose(np.concatenate(parts, -1), coarse, atol=1e-5)


def test_anchors_that_contradict_the_file_are_refused(exports):
    found_in(exports / "yolov5.tflite", anchors=ANCHORS)

    with pytest.raises(ConfigError, match="its decode says the anchors 10,13 16,30 / 30,61 62,45"):
        found_in(exports / "yolov5.tflite", anchors="1,1 2,2 / 3,3 4,4")


@pytest.mark.parametrize("name", ["suppressed", "yolov10"])
def test_a_decode_that_chooses_rows_is_cut_before_it_chooses(exports, name):
    found = found_in(exports / f"{name}.tflite")

    assert (found.head.boxes, found.head.bins) == ("distribution", 16)
    assert {op.kind for op in found.graph.ops} <= {"CONV_2D", "RELU", "ADD"}


def test_boxes_that_the_export_leaves_raw_are_decoded_by_the_runtime(exports):
    head = found_in(exports / "yolox_raw.tflite").head

    assert (head.kind, head.boxes) == ("anchor_free", "center_exp")


def test_a_decode_that_is_not_known_names_the_tensor(exports):
    with pytest.raises(ModelError, match=r"which ends in 'Identity' \(1, 160, 8\)"):
        found_in(exports / "odd.tflite")
