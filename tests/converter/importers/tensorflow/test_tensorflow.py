"""Keras files and SavedModels give the heads that Keras gives; what is unsafe never reaches it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from damaged_files import damaged

from converter.choice import Choice, InputChoice
from converter.graph.own_biases import with_own_biases
from converter.graph.writing import write
from converter.importers.normalisation import normalised
from converter.importers.tensorflow.importer import lower
from converter.importing import import_draft
from edge.errors import ConfigError, ModelError
from edge.model.backends.litert import open_interpreter, tensor_spec

pytestmark = pytest.mark.converter
TOLERANCE = 1e-3  # of the head's range; found 2e-7
ANCHORS = 24


def heads(draft, folder, image="image.npy"):
    """Return what a draft's model gives for an image, by role."""
    image = normalised(np.load(folder / image), draft.transform)
    runtime = open_interpreter(write(draft.graph), folder, threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], image.astype(np.float32))
    runtime.invoke()
    rows = [tensor_spec(detail) for detail in runtime.get_output_details()]
    named = {row.name: runtime.get_tensor(row.index) for row in rows}
    return {role: named[role] for role in draft.graph.outputs}


def assert_same(found, expected):
    error = np.abs(found.reshape(expected.shape) - expected).max()
    assert error <= TOLERANCE * np.ptp(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("unet.h5", "h5"), pytest.param("saved", "h5", marks=pytest.mark.slow)],
    ids=["h5", "SavedModel"],
)
def test_a_u_net_keeps_its_raw_scores(models, name, expected):
    draft = import_draft(models / name, family="unet", choice=Choice())

    assert draft.head.activation == "sigmoid"
    assert (draft.size_wh, draft.transform) == ((48, 64), None)
    assert_same(heads(draft, models)["classes"], np.load(models / f"{expected}.npz")["classes"])


OWN = {  # mean, std and whether the channels are swapped; or what stays in the graph
    "statistics": "after",
    "valid": ((127.5,) * 3, (127.5,) * 3, False),
    "normalisation": ((102, 114.75, 122.4), (57.0197, 62.462, 67.4667), False),
    "caffe": ((103.939, 116.779, 123.68), (1,) * 3, True),
    "swap": ((0,) * 3, (255,) * 3, True),
    "focus": ((0,) * 3, (255,) * 3, False),
    "grey": ((0,) * 3, (255,) * 3, False),
    "wrapped": ((0,) * 3, (255,) * 3, False),
    "resizing": {"RESIZE_BILINEAR"},
    "pooling": {"AVERAGE_POOL_2D"},
}


@pytest.mark.parametrize(("name", "own"), OWN.items(), ids=OWN)
def test_what_a_model_does_to_its_image_first_is_kept_or_becomes_the_transform(models, name, own):
    """As Keras gives it for the same image, on the model's own input."""
    draft = import_draft(models / f"{name}.keras", family=None, choice=Choice())

    raw = heads(draft, models, f"{name}.npy")["classes"]
    found = np.exp(raw - raw.max(-1, keepdims=True))
    found /= found.sum(-1, keepdims=True)
    np.testing.assert_allclose(found, np.load(models / f"{name}.expected.npy"), atol=1e-5)
    graph = draft.graph
    if isinstance(own, set):
        assert own <= {op.kind for op in graph.ops}
        return
    assert {op.kind for op in graph.ops[:-2]} <= {"STRIDED_SLICE", "CONCATENATION", "CONV_2D"}
    assert "import checked against Keras 3" in draft.changes
    if own == "after":
        assert draft.transform.mean is None
        assert draft.transform.after is not None
        return
    mean, std, is_swapped = own
    assert draft.transform.mean == pytest.approx(mean, abs=1e-3)
    assert draft.transform.std == pytest.approx(std, rel=1e-4)
    assert draft.transform.swapped == is_swapped


def test_the_argument_that_keras_2_wrote_is_understood(models):
    draft = import_draft(models / "keras_2.h5", family="unet", choice=Choice())

    assert draft.graph.ops[0].kind == "DEPTHWISE_CONV_2D"


def test_a_saved_model_with_an_old_optimizers_slots_is_read_and_takes_bytes(models):
    draft = import_draft(models / "optimised", family="unet", choice=Choice())

    assert draft.transform.std == (255,) * 3
    assert [op.kind for op in draft.graph.ops] == ["CONV_2D"]
    assert "import checked against TensorFlow 2" in draft.changes


def test_a_rescaling_layer_becomes_the_transform(models):
    choice = Choice(input=InputChoice(size_wh=(48, 64)))

    draft = import_draft(models / "normalised.keras", family="unet", choice=choice)

    assert draft.transform.mean == pytest.approx((127.5, 127.5, -63.75))
    assert draft.transform.std == pytest.approx((127.5, 63.75, 127.5))
    assert draft.head.activation == "softmax"
    assert_same(heads(draft, models)["classes"], np.load(models / "normalised.npz")["classes"])


def joined(found, grid):
    """Return the numbers of a grid's anchors side by side, as the net's convolution does."""
    parts = [found[role] for role in (grid.boxes, grid.objectness, grid.scores)]
    anchors = len(grid.anchors_px)
    return np.concatenate([part.reshape(*part.shape[:3], anchors, -1) for part in parts], -1)


def test_yolo_grids_are_found_before_their_reshape_and_given_their_anchors(models):
    choice = Choice(anchors="1,2 3,4 / 5,6 7,8")

    draft = import_draft(models / "grids.keras", family="yolo", choice=choice)

    found, expected = heads(draft, models), np.load(models / "grids.npz")
    fine, coarse = draft.head.grids
    assert (fine.anchors_px, coarse.anchors_px) == (((1, 2), (3, 4)), ((5, 6), (7, 8)))
    assert_same(joined(found, fine), expected["fine"])
    assert_same(joined(found, coarse), expected["coarse"])


@pytest.mark.parametrize("name", ["suppressed", "suppressed_alone"])
def test_a_suppression_that_tensorflow_lite_lacks_is_cut_off_with_the_decode(models, name):
    draft = import_draft(models / name, family=None, choice=Choice())

    fine, coarse = draft.head.grids
    assert fine.anchors_px == ((10, 13), (16, 30))
    assert coarse.anchors_px == ((33, 23), (62, 45))
    assert "import checked against TensorFlow 2" in draft.changes
    assert "decode and suppression left to the runtime" in draft.changes


def test_an_operation_that_tensorflow_lite_lacks_is_named_with_the_way_out(models):
    with pytest.raises(ModelError, match=r"no operation Igamma; .*--output-name"):
        import_draft(models / "unknown", family="unet", choice=Choice())


@pytest.mark.slow
def test_an_ssd_without_decode_takes_its_anchors_from_the_person(models):
    choice = Choice(anchors=str(models / "anchors.npy"), box_scales=(10, 10, 5, 5))

    draft = import_draft(models / "ssd.keras", family="ssd", choice=choice)

    found, expected = heads(draft, models), np.load(models / "ssd.npz")
    assert (draft.head.activation, draft.anchors.shape) == ("sigmoid", (ANCHORS, 4))
    for role in ("boxes", "scores"):
        assert_same(found[role], expected[role])


def test_a_detector_of_the_object_detection_api_2_is_cut_before_its_decode(models):
    draft = import_draft(models / "detector", family=None, choice=Choice())

    assert draft.head.box_scales == (10, 10, 5, 5)
    assert draft.transform.std == (127.5,) * 3
    np.testing.assert_allclose(draft.anchors[-1], [7 / 8, 5 / 6, 1 / 4, 1 / 3], rtol=1e-6)
    found = heads(draft, models)
    assert (found["boxes"].shape, found["scores"].shape) == ((1, 24, 4), (1, 24, 3))


REFUSED = {
    "lambda in an archive": ("lambda.keras", "Lambda, which runs code"),
    "lambda in HDF5": ("lambda.h5", "Lambda, which runs code"),
    "weights only": ("unet.weights.h5", "weights only.*save it with model.save"),
}


@pytest.mark.parametrize(("name", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_loaded_safely_is_refused(models, name, words):
    with pytest.raises(ModelError, match=words):
        import_draft(models / name, family="unet", choice=Choice())


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_hdf5_file_is_one_sentence(models, tmp_path, seed):
    path = tmp_path / "damaged.h5"
    path.write_bytes(damaged((models / "unet.h5").read_bytes(), 2 * seed))

    with pytest.raises(ModelError, match=r"damaged|another format") as caught:
        import_draft(path, family="unet", choice=Choice())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [33, 91, 145], ids=["name", "address", "shape"])
def test_a_damaged_weight_is_found_before_tensorflow_is_asked(models, tmp_path, seed):
    path = tmp_path / "damaged.h5"
    path.write_bytes(damaged((models / "unet.h5").read_bytes(), seed))

    with pytest.raises(
        ModelError, match=r"expected a Keras \.h5, found one that is damaged"
    ) as caught:
        import_draft(path, family="unet", choice=Choice())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(), "any size, .*--size WIDTHxHEIGHT"),
        (Choice(output="gone", input=InputChoice(size_wh=(48, 64))), "one of softmax.*gone"),
    ],
    ids=["size", "output"],
)
def test_what_the_child_must_ask_for_is_asked(models, choice, words):
    with pytest.raises(ConfigError, match=words):
        import_draft(models / "normalised.keras", family="unet", choice=choice)


def test_a_small_graph_is_lowered_with_the_numbers_it_had(tiny_tfjs):
    choice = Choice(input=InputChoice(size_wh=(5, 5)))

    made = lower(tiny_tfjs, "tfjs", family="ssd", choice=choice)

    checked = made.check(made.graph, tiny_tfjs, own=None)

    assert made.graph.inputs == ("input",)
    assert checked.startswith("import checked against TensorFlow 2")
    assert int(checked.partition("1e-")[2].split()[0]) >= 5


def test_a_graph_that_tensorflow_refuses_gives_one_sentence_with_the_logs_place(tiny_tfjs):
    tiny_tfjs.write_text(tiny_tfjs.read_text().replace('"Reshape"', '"NoSuchOp"'))
    choice = Choice(input=InputChoice(size_wh=(5, 5)))

    with pytest.raises(ModelError, match=r"NoSuchOp.*its log is .*\.log") as caught:
        lower(tiny_tfjs, "tfjs", family="ssd", choice=choice)
    assert "\n" not in str(caught.value)


def test_the_parent_never_loads_tensorflow(tiny_tfjs):
    # In a process of its own: other tests of this one train.
    program = (
        "import sys; from pathlib import Path\n"
        "from converter.choice import Choice, InputChoice\n"
        "from converter.importers.tensorflow.importer import lower\n"
        "choice = Choice(input=InputChoice(size_wh=(5, 5)))\n"
        "lower(Path(sys.argv[1]), 'tfjs', family='ssd', choice=choice)\n"
        "sys.exit('tensorflow' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program, str(tiny_tfjs)], check=False)
    assert done.returncode == 0


@pytest.mark.assets
def test_the_real_detector_keeps_its_heads_and_loses_its_float_decode(assets):
    path = assets / "models" / "ssdlite_mobilenet_v2_coco_tfjs" / "model.json"

    made = import_draft(path, family="ssd", choice=Choice())

    assert "within 1e-5" in made.changes
    assert Counter(op.kind for op in with_own_biases(made.graph).ops) == {
        "CONV_2D": 55, "DEPTHWISE_CONV_2D": 33, "RESHAPE": 13, "ADD": 10, "CONCATENATION": 2,
    }  # fmt: skip


@pytest.mark.assets
def test_a_real_segmenter_loses_its_resizing_for_any_frame(assets):
    path = assets / "models" / "portrait_unet" / "frozen_inference_graph.pb"
    choice = Choice(input=InputChoice(size_wh=(513, 513)))

    made = import_draft(path, family="unet", choice=choice)

    assert made.transform.mean == made.transform.std == (127.5,) * 3
    graph = made.graph
    assert graph.shape("classes") == (1, 65, 65, 2)
    assert graph.ops[0].kind == "CONV_2D"
