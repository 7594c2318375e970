"""Keras files and SavedModels give the heads that Keras gives; what is unsafe never reaches it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from damaged_files import damaged, faults

from converter import child
from converter.choice import Choice, InputChoice
from converter.graphdef_schema import message_class
from converter.importers import freezing
from converter.importing import import_draft
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter, tensor_spec

pytestmark = pytest.mark.converter
TOLERANCE = 1e-3  # of the head's range; found 2e-7
ANCHORS = 24


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return a folder of tiny models that Keras has saved, with what it gives for an image."""
    folder = tmp_path_factory.mktemp("keras")
    maker = Path(__file__).with_name("keras_models.py")
    environment = {**os.environ, **child.ENVIRONMENT}
    subprocess.run(
        [sys.executable, maker, folder], env=environment, check=True, capture_output=True
    )
    np.save(folder / "anchors.npy", np.full((ANCHORS, 4), 0.25, np.float32))
    return folder


def heads(draft, folder):
    """Return what a draft's model gives for the image, by role."""
    image = np.load(folder / "image.npy")
    if draft.transform is not None:
        image = (image - np.array(draft.transform.mean)) / np.array(draft.transform.std)
    runtime = open_interpreter(draft.flatbuffer, folder, threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], image.astype(np.float32))
    runtime.invoke()
    rows = [tensor_spec(detail) for detail in runtime.get_output_details()]
    named = {row.name: runtime.get_tensor(row.index) for row in rows}
    return {role: named[name] for role, name in draft.outputs.items()}


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


def test_a_rescaling_layer_becomes_the_transform(models):
    choice = Choice(input=InputChoice(size_wh=(48, 64)))

    draft = import_draft(models / "normalised.keras", family="unet", choice=choice)

    assert draft.transform.mean == pytest.approx((127.5, 127.5, -63.75))
    assert draft.transform.std == pytest.approx((127.5, 63.75, 127.5))
    assert draft.head.activation == "softmax"
    assert_same(heads(draft, models)["classes"], np.load(models / "normalised.npz")["classes"])


def test_yolo_grids_are_found_before_their_reshape_and_given_their_anchors(models):
    choice = Choice(anchors="1,2 3,4 / 5,6 7,8")

    draft = import_draft(models / "grids.keras", family="yolo", choice=choice)

    found, expected = heads(draft, models), np.load(models / "grids.npz")
    fine, coarse = draft.head.grids
    assert (fine.anchors_px, coarse.anchors_px) == (((1, 2), (3, 4)), ((5, 6), (7, 8)))
    assert_same(found[fine.scores], expected["fine"])
    assert_same(found[coarse.scores], expected["coarse"])


@pytest.mark.slow
def test_an_ssd_without_decode_takes_its_anchors_from_the_person(models):
    choice = Choice(anchors=str(models / "anchors.npy"), box_scales=(10, 10, 5, 5))

    draft = import_draft(models / "ssd.keras", family="ssd", choice=choice)

    found, expected = heads(draft, models), np.load(models / "ssd.npz")
    assert (draft.head.activation, draft.anchors.shape) == ("sigmoid", (ANCHORS, 4))
    for role in ("boxes", "scores"):
        assert_same(found[role], expected[role])


def test_a_detector_of_the_object_detection_api_2_is_cut_before_its_decode(models):
    draft = import_draft(models / "detector", family="ssd", choice=Choice())

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
        freezing.freeze(models / name)


def test_a_saved_models_own_savers_are_made_to_do_nothing(models):
    path = models / "saved" / freezing.SAVED_MODEL
    model = message_class("SavedModel")()

    model.ParseFromString(freezing.disarmed_saved_model(path))

    ops = {
        node.op
        for meta in model.meta_graphs
        for nodes in (meta.graph_def.node, *(f.node_def for f in meta.graph_def.library.function))
        for node in nodes
    }
    assert b"SaveV2" in path.read_bytes()
    assert not ops & set(freezing.SAVERS)


def test_a_saved_model_with_an_unsafe_op_is_refused(models, tmp_path):
    model = message_class("SavedModel")()
    model.ParseFromString((models / "saved" / freezing.SAVED_MODEL).read_bytes())
    model.meta_graphs[0].graph_def.node.add(name="evil", op="WriteFile")
    (tmp_path / freezing.SAVED_MODEL).write_bytes(model.SerializeToString())

    with pytest.raises(ModelError, match=r"WriteFile \(evil\)"):
        freezing.freeze(tmp_path)


def test_damaged_saved_models_are_one_sentence_each(models, tmp_path):
    data = (models / "saved" / freezing.SAVED_MODEL).read_bytes()

    found = faults(freezing.disarmed_saved_model, data, tmp_path / freezing.SAVED_MODEL)

    assert len(found) > 100
    assert not [text for text in found if "\n" in text]


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
