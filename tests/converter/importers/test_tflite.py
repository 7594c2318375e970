"""Foreign float `.tflite` files are cut at their raw outputs; what cannot be is refused by name."""

from __future__ import annotations

import json
import zipfile
from functools import partial

import numpy as np
import pytest
from damaged_files import faults
from float_tflite_models import FloatModel
from litert_runs import run
from tflite_files import ANCHORS, SIDE, Builder, detector, grid

from converter.choice import Choice, InputChoice
from converter.graph.writing import write
from converter.importers.normalisation import normalised
from converter.importers.tflite import find_draft, import_tflite
from edge.errors import ConfigError, ModelError
from edge.model.readers import exporter

pytestmark = pytest.mark.converter
PORTRAIT = "models/portrait_unet"


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def written(folder, data):
    path = folder / "foreign.tflite"
    path.write_bytes(data)
    return path


def test_a_detector_is_cut_before_its_postprocess_and_gives_anchors_and_scales(tmp_path):
    path = written(tmp_path, detector(decoded=True))
    image = np.random.default_rng(1).normal(size=(1, SIDE, SIDE, 3)).astype(np.float32)

    draft = import_tflite(path, family="ssd", choice=Choice())

    found = run(write(draft.graph), image, path)
    assert draft.head.box_scales == (10, 10, 5, 5)
    assert (draft.head.activation, draft.head.background) == ("sigmoid", True)
    np.testing.assert_allclose(draft.anchors[-1], np.arange(44, 48) / 47, rtol=1e-6)
    np.testing.assert_array_equal(found["boxes"], image.reshape(1, ANCHORS, 4))
    np.testing.assert_array_equal(found["scores"], image.reshape(1, ANCHORS, 4))
    assert [op.kind for op in draft.graph.ops] == ["RESHAPE"] * 2


def test_labels_that_the_metadata_packs_behind_the_model_are_read(tmp_path):
    path = written(tmp_path, detector(decoded=True))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labelmap.txt", "cat\ndog\nowl\n")

    assert import_tflite(path, family="ssd", choice=Choice()).labels == ("cat", "dog", "owl")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "metadata.json",
            json.dumps(
                {
                    "stride": 32,
                    "task": "detect",
                    "imgsz": [32, 32],
                    "names": {"0": "cat", "1": "dog"},
                }
            ),
        ),
        ("temp_meta.txt", str({"stride": 32, "names": {0: "cat", 1: "dog"}})),
    ],
)
def test_what_ultralytics_packs_behind_a_model_is_read(tmp_path, name, text):
    path = written(tmp_path, detector(decoded=True))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, text)

    draft = import_tflite(path, family="ssd", choice=Choice())

    assert draft.labels == ("cat", "dog")
    assert (draft.transform.std, draft.transform.resize) == ((255,) * 3, "letterbox")


def test_a_file_of_labels_is_read_beside_the_json_of_another_tool(tmp_path):
    path = written(tmp_path, detector(decoded=True))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\nowl\n")
        archive.writestr("metadata.json", json.dumps({"names": ["one"]}))

    assert import_tflite(path, family="ssd", choice=Choice()).labels == ("cat", "dog", "owl")


def test_a_hostile_literal_behind_a_model_is_not_parsed(tmp_path, monkeypatch):
    path = written(tmp_path, detector(decoded=True))
    bomb = "{'stride': 32, 'names': " + "1+" * 100_000 + "1}"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("temp_meta.txt", bomb)
    monkeypatch.setattr(exporter, "ast", None)

    draft = import_tflite(path, family="ssd", choice=Choice())

    assert (draft.transform, draft.labels) == (None, (bomb,))


def test_a_detector_of_another_family_is_named(tmp_path):
    path = written(tmp_path, detector(decoded=True))

    with pytest.raises(ConfigError, match="--family ssd"):
        import_tflite(path, family="unet", choice=Choice())


def test_raw_outputs_that_are_no_heads_of_one_are_listed(tmp_path):
    path = written(tmp_path, detector(decoded=False))
    np.save(tmp_path / "anchors.npy", np.ones((ANCHORS, 4), np.float32))

    with pytest.raises(ConfigError, match="--anchors FILE"):
        import_tflite(path, family="ssd", choice=Choice())
    with pytest.raises(ConfigError, match="--box-scales"):
        import_tflite(path, family="ssd", choice=Choice(anchors=str(tmp_path / "anchors.npy")))
    with pytest.raises(ModelError, match="expected a YOLO head"):
        import_tflite(path, family="yolo", choice=Choice(anchors="1,1"))


@pytest.mark.parametrize(
    ("channels", "words"),
    [(5, "of which no source gives them"), (4, "of which no source gives the last")],
)
def test_an_image_that_no_source_gives_is_refused(tmp_path, channels, words):
    path = written(tmp_path, grid(channels=channels))

    with pytest.raises(ModelError, match=words):
        import_tflite(path, family="unet", choice=Choice())


def test_a_grey_image_has_one_channel(tmp_path):
    model = FloatModel((1, 8, 8, 1))
    model.then("TANH", (model.last,), (1, 8, 8, 1))

    draft = import_tflite(written(tmp_path, model.flatbuffer()), family=None, choice=Choice())

    assert draft.graph.shape("input") == (1, 8, 8, 1)


NORMALISED = {  # what the graph multiplies and adds, and what becomes of it
    "pixels": (1 / 58.0, -2.0, {"mean": (116,) * 3, "std": (58,) * 3}),
    "numbers in 0..1": (1 / 0.25, -1.6, {"after": ((0.4,) * 3, (0.25,) * 3)}),
}


@pytest.mark.parametrize(("factor", "shift", "own"), NORMALISED.values(), ids=NORMALISED)
def test_a_files_own_normalisation_is_taken_out(tmp_path, factor, shift, own):
    model, shape = FloatModel((1, 8, 8, 3)), (1, 8, 8, 3)
    model.then("MUL", (model.last, model.constant(np.full(3, factor, np.float32))), shape)
    model.then("ADD", (model.last, model.constant(np.full(3, shift, np.float32))), shape)
    model.then("TANH", (model.last,), shape)
    path = written(tmp_path, model.flatbuffer())
    image = np.random.default_rng(1).random(shape, np.float32)

    draft = import_tflite(path, family="unet", choice=Choice())

    assert draft.transform == InputChoice(**own)
    (found,) = run(write(draft.graph), normalised(image, draft.transform), path).values()
    (expected,) = run(path.read_bytes(), image, path).values()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_model_that_computes_nothing_is_refused(tmp_path):
    with pytest.raises(ModelError, match="its own image"):
        import_tflite(written(tmp_path, grid()), family="unet", choice=Choice())


def test_a_custom_op_is_refused_by_name(tmp_path):
    make = Builder()
    image = make.tensor("image", (1, SIDE, SIDE, 3))
    output = make.tensor("output", (1, SIDE, SIDE, 3))
    make.op("Odd", (image,), (output,))

    with pytest.raises(ModelError, match="'Odd' is a custom one"):
        import_tflite(
            written(tmp_path, make.packed((image,), (output,))), family="unet", choice=Choice()
        )


def test_what_litert_cannot_invoke_is_found_in_a_child_process(tmp_path):
    make = Builder()
    image = make.tensor("image", (1, SIDE, SIDE, 3))
    output = make.tensor("output", (1, 5, 5, 3))
    make.op("CONV_2D", (image,), (output,))

    with pytest.raises(ModelError, match=r"LiteRT cannot invoke foreign\.tflite") as caught:
        import_tflite(
            written(tmp_path, make.packed((image,), (output,))), family="unet", choice=Choice()
        )
    assert "\n" not in str(caught.value)


@pytest.mark.assets
@pytest.mark.parametrize("name", ["prisma-net.tflite", "prisma-net_fp16.tflite"])
def test_a_real_segmenter_is_cut_before_its_sigmoid(assets, name):
    path = assets / PORTRAIT / name
    image = np.random.default_rng(2).random((1, 256, 256, 3)).astype(np.float32)
    (expected,) = run(path.read_bytes(), image, path).values()

    draft = import_tflite(path, family="unet", choice=Choice())

    found = run(write(draft.graph), image, path)["classes"]
    assert (found.shape, draft.head.activation) == ((1, 256, 256, 1), "sigmoid")
    np.testing.assert_allclose(sigmoid(found).ravel(), expected.ravel(), atol=1e-5)
    assert "DEQUANTIZE" not in [op.kind for op in draft.graph.ops]


@pytest.mark.assets
def test_a_real_segmenter_without_activation_keeps_its_numbers(assets):
    path = assets / PORTRAIT / "mnv3_seg_float.tflite"
    image = np.random.default_rng(2).random((1, 256, 256, 3)).astype(np.float32)
    (expected,) = run(path.read_bytes(), image, path).values()

    draft = import_tflite(path, family="unet", choice=Choice())

    assert draft.head.activation == "softmax"
    np.testing.assert_array_equal(run(write(draft.graph), image, path)["classes"], expected)


REFUSED = {
    f"{PORTRAIT}/prisma_quant.tflite": "expected a float model.*int8",
    f"{PORTRAIT}/prisma-net_uint8.tflite": "expected a float model.*CONV_2D with int8",
    f"{PORTRAIT}/mnv3_post_quant.tflite": "expected a float model.*uint8",
    "models/coral/deeplabv3_mnv2_pascal_quant.tflite": "expected a float model.*uint8",
    "models/mediapipe/selfie_segmentation.tflite": "'Convolution2DTransposeBias'",
    "models/refused/deeplabv3_mnv2_dm05_pascal_quant_edgetpu.tflite": "compiled for the Edge TPU",
    "models/refused/bodypix_mobilenet_v1_075_512_512_16_quant_decoder.tflite": "'PosenetDecoderOp'",
    "models/refused/model_invoking_error.tflite": "damaged",
}


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "words"), REFUSED.items(), ids=[n.split("/")[-1] for n in REFUSED]
)
def test_what_is_no_float_model_is_refused_with_its_reason(assets, name, words):
    with pytest.raises(ModelError, match=words) as caught:
        import_tflite(assets / name, family="unet", choice=Choice())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("decoded", [True, False], ids=["decoded", "raw"])
def test_damaged_detectors_are_one_sentence_each(tmp_path, decoded):
    # Each probe takes half a second; that it finds what is left has its own test above.
    read = partial(find_draft, family="ssd", choice=Choice(anchors="gone.npy"))

    found = faults(read, detector(decoded=decoded), tmp_path / "damaged.tflite")

    assert len(found) > 100
    assert not [text for text in found if "\n" in text]
