"""The head `classes`: against a slow float reference, and on models from end to end."""

from __future__ import annotations

import json
import math
import shutil

import cv2
import factories
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge import cli
from edge.decode.classes import ClassesDecoder, ClassesHead
from edge.errors import ModelError
from edge.frame import Placement, StageClock
from edge.model import model_file
from edge.model.loaded import join, load_model
from edge.model.quant import Quant
from edge.model.spec import ModelSpec

pytestmark = pytest.mark.board

PLACEMENT = Placement.fit(factories.INPUT_WH, factories.INPUT_WH, resize="stretch")
QUANTS = {
    "int8": Quant(0.07, 5),
    "uint8": Quant(0.09, 130),
    "int16": Quant(2.0**-11, 0),
    "float32": Quant(),
}
TIE = 2e-6


def spec_of(shape, *, dtype="int8", quant=None, labels=None, **head):
    count = shape[-1] if labels is None else labels
    described = factories.manifest(
        head=ClassesHead(**{"activation": "softmax"} | head),
        labels=tuple(f"class {number}" for number in range(count)),
        outputs={"scores": "raw"},
    ).description(None)
    output = factories.tensor("raw", shape, dtype=np.dtype(dtype), quant=quant or QUANTS[dtype])
    width, height = factories.INPUT_WH
    return ModelSpec(described, factories.tensor("i", (1, height, width, 3)), {"scores": output})


def decoded(spec, raw, *, score=0.0):
    decoder = ClassesDecoder(spec, factories.thresholds(score))
    return decoder.decode({"scores": raw}, PLACEMENT, StageClock())


def reference(spec, raw):
    """Return the score of each class."""
    quant, activation = spec.outputs["scores"].quant, spec.description.head.activation
    real = [(float(q) - quant.zero_point) * quant.scale for q in raw.reshape(-1)]
    if activation == "softmax":
        powers = [math.exp(value - max(real)) for value in real]
        return [power / sum(powers) for power in powers]
    return [1 / (1 + math.exp(-value)) for value in real]


@given(
    st.sampled_from(list(QUANTS)),
    st.fixed_dictionaries(
        {"activation": st.sampled_from(["softmax", "sigmoid"]), "top": st.integers(1, 7)}
    ),
    st.integers(1, 40),
    st.one_of(st.just(0.0), st.floats(0, 1)),
    st.integers(0, 2**32),
)
def test_decoding_equals_the_slow_float_reference(dtype, head, count, score, seed):
    spec = spec_of((1, count), dtype=dtype, **head)
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 120, (1, count)) if dtype != "float32" else rng.normal(0, 3, (1, count))
    scores = reference(spec, raw.astype(dtype))
    assume(score == 0 or all(abs(value - score) > TIE for value in scores))
    seen = decoded(spec, raw.astype(dtype), score=score)
    expected = sorted((value for value in scores if value >= score), reverse=True)[: head["top"]]
    np.testing.assert_allclose(seen.scores, expected, rtol=1e-5)
    assert seen.scores.tolist() == sorted(seen.scores.tolist(), reverse=True)
    own = [scores[number] for number in seen.class_ids.tolist()]
    np.testing.assert_allclose(seen.scores, own, rtol=1e-5)


def test_of_equal_scores_the_first_classes_come_first():
    raw = np.array([[3, 9, 3, 9, 3]], np.int8)
    assert decoded(spec_of((1, 5), top=3), raw).class_ids.tolist() == [1, 3, 0]


def test_ready_scores_pass_as_they_are_quantised():
    spec = spec_of((1, 1, 1, 3), dtype="uint8", quant=Quant(1 / 256, 0), activation="none")
    raw = np.array([10, 255, 128], np.uint8).reshape(1, 1, 1, 3)
    seen = decoded(spec, raw, score=0.5)
    assert seen.class_ids.tolist() == [1, 2]
    assert seen.scores.tolist() == [255 / 256, 0.5]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_what_is_not_a_number_is_no_class(activation):
    spec = spec_of((1, 3), dtype="float32", activation=activation)
    seen = decoded(spec, np.array([[np.nan, np.nan, np.nan]], np.float32))
    assert len(seen) == 0
    assert len(decoded(spec, np.array([[0.1, 0.9, 0.2]], np.float32))) == 3


def test_nothing_above_the_threshold_is_an_empty_result():
    assert len(decoded(spec_of((1, 4)), np.zeros((1, 4), np.int8), score=0.9)) == 0
    full = np.full((1, 4), 127, np.int8)
    assert len(decoded(spec_of((1, 4), activation="sigmoid"), full, score=1.0)) == 0


@pytest.mark.parametrize(
    ("shape", "labels", "fault"),
    [
        pytest.param((1, 4), 3, r"\(1, 4\), but 3 labels need \(1, 3\)", id="labels"),
        pytest.param((1, 2, 2, 3), 3, r"3 labels need \(1, 3\) or \(1, 1, 1, 3\)", id="cells"),
        pytest.param((2, 3), 3, "3 labels need", id="batch"),
        pytest.param((3, 1), 3, "3 labels need", id="turned"),
    ],
)
def test_an_output_that_does_not_fit_is_named(shape, labels, fault):
    spec = spec_of(shape, labels=labels)
    described = factories.manifest(
        head=spec.description.head, labels=spec.description.labels, outputs={"scores": "raw"}
    )
    file = factories.model_file(manifest=described, anchors=None)
    with pytest.raises(ModelError, match=fault):
        join(file, [spec.input], [spec.outputs["scores"]])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    pytest.importorskip("ai_edge_litert", reason="the model is written with LiteRT's schema")
    from reference import tiny_classifier  # noqa: PLC0415 - a board may have another runtime

    path = tmp_path_factory.mktemp("model") / "colours.tflite"
    tiny_classifier.write(path)
    return path


def test_a_model_tells_how_much_of_each_colour_there_is(path):
    model = load_model(model_file.read(path))
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 2] = 204  # red: 0.8 of white
    image[:, :32, 0] = 204  # blue, in half of it
    seen = model(image)
    assert model.task == "classification"
    assert [model.description.labels[number] for number in seen.class_ids] == ["red", "blue"]
    np.testing.assert_allclose(seen.scores, [0.8, 0.4], atol=2 / 255)
    assert len(model.with_thresholds(score=0.5)(image)) == 1


def test_edge_run_and_inspect_know_a_classifier(path, tmp_path, capfd, caplog):
    image = np.zeros((24, 32, 3), np.uint8)
    image[..., 1] = 255
    cv2.imwrite(str(tmp_path / "green.png"), image)
    words = ["run", "--model", str(path), "--source", f"file:{tmp_path / 'green.png'}"]
    with caplog.at_level("INFO", "edge"):
        assert cli.main(words) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert [each["label"] for each in json.loads(lines[0])["classes"]] == ["green"]
    assert "green in 1 frames" in caplog.text
    assert cli.main(["inspect", str(path)]) == 0
    shown = capfd.readouterr().out
    assert "head        classes, activation none, the best 2" in shown
    assert "thresholds  score 0.25\n" in shown


@pytest.mark.assets
@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("bird.bmp", "chickadee"),
        ("cat.bmp", "Egyptian cat"),
        ("parrot.jpg", "macaw"),
        ("hot_dog.jpg", "hotdog, hot dog, red hot"),
    ],
)
def test_a_real_classifier_names_what_a_photograph_shows(assets, tmp_path, image, label):
    photographs = assets / "images" / "coral"
    shutil.copy(photographs / "imagenet_labels.txt", tmp_path / "labels.txt")
    described = tmp_path / "mobilenet.toml"
    described.write_text(
        "[model]\nname = 'mobilenet'\nlabels = 'labels.txt'\nscore_threshold = 0.1\n"
        "[input]\nsize_wh = [224, 224]\ncolor = 'rgb'\nresize = 'stretch'\n"
        "mean = [128, 128, 128]\nstd = [128, 128, 128]\n"
        "[outputs]\nscores = 'MobilenetV2/Predictions/Softmax'\n"
        "[head]\nkind = 'classes'\nactivation = 'none'\n"
    )
    bare = assets / "models" / "coral" / "mobilenet_v2_1.0_224_quant.tflite"
    model = load_model(model_file.read(bare, description=described))
    seen = model(cv2.imread(str(photographs / image)))
    assert model.description.labels[seen.class_ids[0]] == label
    assert len(seen) <= 5
    assert seen.scores[0] > 0.3
