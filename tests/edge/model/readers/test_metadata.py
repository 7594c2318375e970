"""TFLite Metadata is read without the package that writes it."""

from __future__ import annotations

import bare_models as bare
import numpy as np
import pytest
import told_files as told

from edge.errors import ModelError
from edge.model import model_file
from edge.model.loaded import load_model

pytestmark = pytest.mark.board
LABELS = {"labels.txt": "\ufeffred\n???\nblue\n"}
INPUT = told.image(told.RGB, (127.5,), (127.5,))


def read(tmp_path, data):
    path = tmp_path / "told.tflite"
    path.write_bytes(data)
    return model_file.read(path)


def test_a_classifier_says_all_that_is_needed(tmp_path):
    data = told.with_metadata(bare.classifier(), [INPUT], [told.scores("labels.txt")], files=LABELS)
    file = read(tmp_path, data)
    described = file.description
    assert file.read_by == "TFLite Metadata"
    assert (described.name, described.labels) == ("told", ("red", "", "blue"))
    assert described.input.color == "rgb"
    assert described.input.mean == described.input.std == (127.5, 127.5, 127.5)
    blue = np.zeros((20, 20, 3), np.uint8)
    blue[..., 0] = 255
    seen = load_model(file).with_thresholds(score=0)(blue)
    expected = np.exp([-1, -1, 1.0])
    assert seen.class_ids[0] == 2
    np.testing.assert_allclose(seen.scores[0], expected[2] / expected.sum(), rtol=1e-6)


def test_bytes_go_in_as_they_are_whatever_was_said_of_the_float_model(tmp_path):
    data = told.with_metadata(
        bare.classifier(dtype="uint8", quant=(1 / 255, 0)),
        [told.image(told.RGB, (127.0,), (128.0,))],
        [told.scores("labels.txt")],
        files=LABELS,
    )
    file = read(tmp_path, data)
    buffer = load_model(file).input_buffers()[0]
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    buffer.fill(image)
    np.testing.assert_array_equal(buffer.tensor[0], image[..., ::-1])


@pytest.mark.parametrize(("activation", "said"), [(0, "none"), (1, "sigmoid"), (2, "softmax")])
def test_a_segmenter_says_what_is_still_to_be_applied(tmp_path, activation, said):
    channels = 1 if said == "sigmoid" else 3
    names = "road\nwall\n" if channels == 1 else LABELS["labels.txt"]
    data = told.with_metadata(
        bare.segmenter("ABS", shape=(1, 8, 8, channels)),
        [told.image(told.RGB if channels == 3 else told.GREY, (0.0,), (255.0,))],
        [told.scores("labels.txt", name="segmentation masks")],
        files={"labels.txt": names},
        custom=told.segmenter(activation),
    )
    assert read(tmp_path, data).description.head.activation == said


def test_where_labels_come_in_languages_the_english_ones_are_taken(tmp_path):
    output = told.scores("de.txt", locale="de")
    output[6] += told.scores("en.txt", locale="en")[6]
    files = {"de.txt": "rot\ngruen\nblau\n", "en.txt": "red\ngreen\nblue\n"}
    data = told.with_metadata(bare.classifier(), [INPUT], [output], files=files)
    assert read(tmp_path, data).description.labels == ("red", "green", "blue")


def test_a_label_file_that_is_missing_is_a_fault(tmp_path):
    data = told.with_metadata(bare.classifier(), [INPUT], [told.scores("gone.txt")])
    with pytest.raises(ModelError, match=r"its TFLite Metadata is damaged .*; copy the file"):
        read(tmp_path, data)


def test_damaged_metadata_give_one_sentence(tmp_path):
    data = told.with_metadata(bare.classifier(), [INPUT], [told.scores("labels.txt")], files=LABELS)
    start = data.find(b"M001") - 4
    for position in range(start, start + 300):
        damaged = bytearray(data)
        damaged[position] ^= 0x81
        try:
            read(tmp_path, bytes(damaged))
        except ModelError:
            continue


@pytest.mark.assets
def test_real_classifiers_say_who_they_are(assets):
    for name in ("mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq"):
        file = model_file.read(assets / "models" / "coral" / f"{name}.tflite")
        assert file.read_by == "TFLite Metadata"
        assert file.description.labels[:2] == ("background", "tench, Tinca tinca")


@pytest.mark.parametrize(
    ("mean", "std"),
    [((1.0, float("nan"), 1.0), (1.0,)), ((0.0,), (1.0, float("inf"), 1.0))],
    ids=["a mean that is no number", "an infinite deviation"],
)
def test_a_normalisation_that_cannot_be_true_is_a_fault(tmp_path, mean, std):
    inputs = [told.image(told.RGB, mean, std)]
    data = told.with_metadata(bare.classifier(), inputs, [told.scores("labels.txt")], files=LABELS)
    with pytest.raises(ModelError, match=r"TFLite Metadata says of the input what cannot be true"):
        read(tmp_path, data)
