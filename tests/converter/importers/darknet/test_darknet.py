"""Darknet detectors as float models: the same raw heads as OpenCV's reader, and what they mean."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from darknet_files import (
    NETWORKS,
    REAL_IMAGE,
    REAL_MODELS,
    cfg_text,
    crop_input,
    random_input,
    sampled,
    whole_heads,
    write_darknet,
)

from converter.coco_labels import COCO_LABELS
from converter.graph.writing import write
from converter.importers.darknet import importer as darknet
from edge.errors import ModelError

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "darknet_heads.npz"
# Largest error in the range of a head; found 4e-6 on the real models, 3e-7 on the others.
TOLERANCE = 2e-5
OPS = {
    "v3": {
        "CONV_2D": 5 + 2 * 3,
        "LEAKY_RELU": 5,
        "MAX_POOL_2D": 4,
        "RESIZE_NEAREST_NEIGHBOR": 1,
        "CONCATENATION": 1,
    },
    # A Mish is MUL, LOGISTIC, LOG, MUL, TANH, MUL; a Swish LOGISTIC, MUL.
    "csp": {
        "CONV_2D": 6 + 3,
        "PAD": 2,
        "LOGISTIC": 2 + 1 + 1,
        "LOG": 2,
        "TANH": 2 + 1,
        "MUL": 2 * 3 + 1,
        "LEAKY_RELU": 1,
        "SLICE": 1,
        "CONCATENATION": 2,
        "MAX_POOL_2D": 1,
    },
    "mobile": {
        "CONV_2D": 5 + 3,
        "DEPTHWISE_CONV_2D": 2,
        "PAD": 2,
        "MIRROR_PAD": 1,
        "LEAKY_RELU": 6,
        "ADD": 2,
        "MAX_POOL_2D": 3,
        "CONCATENATION": 1,
    },
    "v2": {
        "CONV_2D": 4 + 3,
        "PAD": 1,
        "LEAKY_RELU": 4,
        "MAX_POOL_2D": 2,
        "TRANSPOSE": 3,
        "RESHAPE": 2,
        "CONCATENATION": 1,
    },
    "partial": {"CONV_2D": 3 + 3, "LEAKY_RELU": 4, "SLICE": 1, "PAD": 2, "ADD": 2},
    "scaled": {
        "CONV_2D": 5 + 3,
        "PAD": 2,
        "LEAKY_RELU": 1,
        "MEAN": 1,
        "LOGISTIC": 4,
        "MUL": 4,
    },
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as stored:
        return dict(stored)


@pytest.fixture(scope="module", params=NETWORKS)
def imported(request, tmp_path_factory):
    """Return the name of a network and its draft."""
    cfg = write_darknet(tmp_path_factory.mktemp("darknet"), request.param)
    return request.param, darknet.import_darknet(cfg)


def run(draft, image):
    """Return the heads of a float model for an `(H, W, 3)` image, as Darknet has them."""
    interpreter = Interpreter(model_content=write(draft.graph))
    interpreter.allocate_tensors()
    (input_,) = interpreter.get_input_details()
    assert input_["name"] == "input"
    interpreter.set_tensor(input_["index"], image[None])
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    named = {row["name"]: interpreter.get_tensor(row["index"]) for row in outputs}
    return whole_heads(named)


@pytest.mark.converter
def test_the_manifest_says_what_the_import_was_checked_against(imported):
    clause = imported[1].changes.rpartition("; ")[2]

    if hasattr(cv2.dnn, "readNetFromDarknet"):
        assert clause.startswith(f"import checked against OpenCV {cv2.__version__}: within 1e-")
    else:
        assert clause.startswith(
            f"import not checked, as OpenCV {cv2.__version__} reads no Darknet"
        )


def assert_close(found, expected):
    assert np.abs(found - expected).max() <= TOLERANCE * np.ptp(expected)


@pytest.mark.converter
def test_raw_heads_are_those_of_opencv(imported, golden):
    name, draft = imported
    heads = run(draft, random_input(name))

    assert len(heads) == sum(key.startswith(f"{name}/") for key in golden)
    for grid, head in enumerate(heads):
        assert_close(head, golden[f"{name}/{grid}"])


@pytest.mark.converter
def test_every_layer_becomes_its_own_op_and_no_other(imported):
    name, draft = imported

    assert Counter(op.kind for op in draft.graph.ops) == OPS[name]


@pytest.mark.assets
@pytest.mark.converter
@pytest.mark.parametrize(
    "name",
    [
        "yolov3-tiny",
        "yolo-fastest-1.1",
        # The same layers as the one before.
        pytest.param("yolo-fastest-1.1_body", marks=pytest.mark.slow),
    ],
)
def test_real_models_give_opencvs_heads_on_a_real_image(assets, golden, name):
    cfg, weights = (assets / path for path in REAL_MODELS[name])
    draft = darknet.import_darknet(cfg, weights=weights)
    image = cv2.imread(str(assets / REAL_IMAGE))[..., ::-1]

    heads = run(draft, crop_input(image, draft.size_wh))

    assert len(heads) == 2
    for grid, head in enumerate(heads):
        assert_close(sampled(head), golden[f"{name}/{grid}"])


def test_heads_say_anchors_masks_and_scale(tmp_path):
    head = darknet.import_darknet(write_darknet(tmp_path, "v3")).head

    coarse, fine = head.grids
    assert coarse.anchors_px == ((12, 20), (30, 25))
    assert fine.anchors_px == ((4, 5), (9, 7))
    assert (coarse.scale_xy, fine.scale_xy) == (1.0, 1.05)
    assert (fine.boxes, fine.objectness, fine.scores) == ("boxes1", "objectness1", "scores1")
    assert (head.sides, head.classes) == ("exp", "sigmoid")


def test_region_anchors_are_in_cells_and_its_classes_a_softmax(tmp_path):
    head = darknet.import_darknet(write_darknet(tmp_path, "v2")).head

    cell = 48 / 6  # pixels; the grid is 6 x 4
    cells = [(0.6, 0.7), (1.9, 2.1)]
    np.testing.assert_allclose(head.grids[0].anchors_px, np.array(cells) * cell)
    assert head.classes == "softmax"


def test_new_coordinates_are_squared_sides(tmp_path):
    assert darknet.import_darknet(write_darknet(tmp_path, "scaled")).head.sides == "square"


def test_three_roles_a_head_end_in_convolutions_of_their_own(tmp_path):
    graph = darknet.import_darknet(write_darknet(tmp_path, "v3")).graph

    assert len(graph.outputs) == 6
    for role, channels in (("boxes0", 2 * 4), ("objectness0", 2), ("scores0", 2 * 3)):
        op = graph.producers[role]
        assert op.kind == "CONV_2D"
        assert graph.shape(op.inputs[2]) == (channels,)


@pytest.mark.parametrize(("classes", "labelled"), [(80, True), (3, False)], ids=["coco", "own"])
def test_eighty_classes_are_taken_for_those_of_coco(tmp_path, classes, labelled):
    filters = 2 * (5 + classes)
    path = tmp_path / "net.cfg"
    path.write_text(
        f"[net]\nwidth=8\nheight=8\n[convolutional]\nfilters={filters}\nactivation=linear\n"
        f"[yolo]\nnum=2\nclasses={classes}\nanchors=1,2,3,4\n"
    )
    floats = filters * (1 + 3)
    path.with_suffix(".weights").write_bytes(b"\0\0\0\0\2\0\0\0" + bytes(12 + 4 * floats))

    labels = darknet.import_darknet(path).labels

    assert labels == (tuple(filter(None, COCO_LABELS)) if labelled else None)


@pytest.mark.parametrize(
    ("version", "line", "resize"),
    [
        ((0, 2, 0), "", "letterbox"),
        ((0, 2, 5), "", "stretch"),
        ((0, 2, 5), "letter_box=1\n", "letterbox"),
        ((0, 2, 0), "letter_box=0\n", "stretch"),
    ],
    ids=["pjreddie", "AlexeyAB", "letter_box", "no letter_box"],
)
def test_images_are_made_to_fit_as_in_training(tmp_path, version, line, resize):
    path = write_darknet(tmp_path, "v3", version=version)
    path.write_text(cfg_text("v3").replace("[net]\n", f"[net]\n{line}"))

    transform = darknet.import_darknet(path).transform

    assert (transform.resize, transform.size_wh, transform.color) == (resize, (64, 48), "rgb")
    assert (transform.mean, transform.std) == ((0, 0, 0), (255, 255, 255))


def test_missing_weights_are_asked_for_by_option(tmp_path):
    path = write_darknet(tmp_path, "v3")
    path.with_suffix(".weights").unlink()

    with pytest.raises(ModelError, match=r"v3\.weights: no such file.*--weights FILE"):
        darknet.import_darknet(path)


def test_weights_elsewhere_are_read(tmp_path):
    path = write_darknet(tmp_path, "v3")
    weights = path.with_suffix(".weights").rename(tmp_path / "backup_1000.weights")

    assert darknet.import_darknet(path, weights=weights).warnings == ()


@pytest.mark.parametrize("mask", ["1,2", "2,3"], ids=["overlap", "same"])
def test_masks_that_share_an_anchor_give_a_warning(tmp_path, mask):
    path = write_darknet(tmp_path, "v3")
    path.write_text(cfg_text("v3").replace("mask=0,1", f"mask={mask}"))

    (warning,) = darknet.import_darknet(path).warnings

    assert f"the masks are 2,3 and {mask}" in warning


@pytest.mark.parametrize("channels", [2, 4])
def test_images_that_the_runtime_cannot_make_are_refused_with_their_channels(tmp_path, channels):
    path = write_darknet(tmp_path, "v3")
    path.write_text(path.read_text().replace("channels=3", f"channels={channels}"))

    with pytest.raises(ModelError, match=f"3 channels, found {channels}"):
        darknet.import_darknet(path)


def test_heads_that_differ_in_classes_are_refused(tmp_path):
    path = write_darknet(tmp_path, "v3")
    fine = "classes=2".join(cfg_text("v3").rsplit("classes=3", 1))
    path.write_text("filters=14".join(fine.rsplit("filters=16", 1)))

    with pytest.raises(ModelError, match="heads that agree in classes"):
        darknet.import_darknet(path)


def test_a_classifier_is_refused(tmp_path):
    path = tmp_path / "net.cfg"
    path.write_text("[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=2\nactivation=linear\n")

    with pytest.raises(ModelError, match=r"expected a \[yolo\] or \[region\] section, found none"):
        darknet.import_darknet(path)


@pytest.mark.assets
@pytest.mark.parametrize(
    ("cfg", "warned"),
    [("yolov3-tiny.cfg", True), ("yolov3-tiny.mask123.cfg", False)],
    ids=["copied", "trained"],
)
def test_official_tiny_weights_with_the_masks_of_most_copies_give_a_warning(assets, cfg, warned):
    folder = assets / "models" / "yolov3_tiny"

    warnings = darknet.import_darknet(folder / cfg, weights=folder / "yolov3-tiny.weights").warnings

    assert len(warnings) == warned
    assert all("was trained with 3,4,5 and 1,2,3" in warning for warning in warnings)
