import os
from dataclasses import replace

import factories
import numpy as np
import pytest

from edge.capture.synthetic import DEFAULT_SIZE_WH, FRAMES_PER_SCENE, Scenes
from edge.errors import ModelError
from edge.frame import Placement, StageClock
from edge.heads import HEADS
from edge.model import model_file
from edge.model.backends import litert
from edge.model.backends.notices import without_notices
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.model.quant import Quant

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def file():
    return model_file.read(default_model_path())


@pytest.fixture(scope="module")
def detector(file):
    return load_model(file)


def scene(index):
    width, height = DEFAULT_SIZE_WH
    image = np.empty((height, width, 3), np.uint8)
    Scenes().render(index * FRAMES_PER_SCENE + FRAMES_PER_SCENE // 2, out=image)
    return image


@pytest.mark.parametrize(("index", "label"), [(0, "person"), (1, "cat"), (2, "cup")])
def test_the_built_in_model_knows_the_built_in_scenes(detector, index, label):
    found = detector(scene(index))
    best = int(found.class_ids[0])
    assert detector.spec.description.labels[best] == label
    assert found.scores[0] > 0.7


def test_boxes_are_in_the_pixels_of_the_image_and_within_it(detector):
    image = scene(1)
    whole = detector(image).copy()
    half = detector(np.ascontiguousarray(image[::2, ::2]))
    assert (whole.boxes >= 0).all()
    assert (whole.boxes <= [1280, 720, 1280, 720]).all()
    # Other pixels are sampled, so a side may differ by some quanta of 10 px; never by its half.
    np.testing.assert_allclose(half.boxes[0] * 2, whole.boxes[0], atol=60)


def test_a_box_outside_the_frame_is_not_a_detection(detector):
    detector(scene(0))
    candidates = detector._decoder.candidates
    candidates.boxes[:3] = [[400, 10, 450, 90], [10, 10, 90, 90], [-50, 0, -1, 99]]
    candidates.scores[:3] = [0.9, 0.8, 0.7]
    candidates.class_ids[:3] = [0, 1, 2]
    candidates.count = 3
    whole = Placement.fit((300, 300), (300, 300), resize="stretch")
    found = candidates.detections(whole, StageClock())
    assert found.boxes.tolist() == [[10, 10, 90, 90]]
    assert found.scores.tolist() == pytest.approx([0.8])
    assert found.class_ids.tolist() == [1]


def test_thresholds_and_limits_are_the_caller_s(file):
    image = scene(2)
    many = load_model(file).with_thresholds(score=0.05)(image)
    few = load_model(file).with_thresholds(score=0.05, max_detections=2)(image)
    assert len(many) > len(few) == 2
    assert (many.scores >= 0.05).all()
    assert len(load_model(file).with_thresholds(score=1.0)(image)) == 0


def test_other_thresholds_give_another_decoder_on_the_same_interpreter(detector):
    image = scene(2)
    loose = detector.with_thresholds(score=0.05, iou=0.9)
    tight = loose.with_thresholds(max_detections=2)
    assert loose._backend is tight._backend is detector._backend
    assert (tight.thresholds.score, tight.thresholds.iou) == (0.05, 0.9)
    before = detector(image).copy()
    assert len(loose(image)) > len(tight(image)) == 2
    np.testing.assert_array_equal(detector(image).boxes, before.boxes)


def test_a_declared_input_is_compared_before_it_is_allocated(file, monkeypatch):
    side = np.array([1, 300, 300, 3], np.int32).tobytes()
    large = np.array([1, 30_000, 30_000, 3], np.int32).tobytes()  # 21 GiB of tensors
    assert side in file.flatbuffer
    data = file.flatbuffer.replace(side, large)
    patched = replace(file, flatbuffer=data)
    allocated = []
    monkeypatch.setattr(litert.LiteRt, "allocate", lambda _: allocated.append(1))
    with pytest.raises(ModelError, match=r"input is \(1, 30000, 30000, 3\), but .* \(1, 300, 300"):
        load_model(patched)
    assert allocated == []


@pytest.mark.parametrize("max_detections", [100, 1000])
def test_as_many_detections_as_were_asked_for_can_be_had(max_detections):
    spec = factories.ssd_spec(
        boxes=factories.tensor("boxes", (1, 1500, 4), quant=Quant(0.05, 0)),
        scores=factories.tensor("scores", (1, 1500, 2), quant=Quant(0.1, 0)),
    )
    thresholds = spec.description.thresholds(max_detections=max_detections, iou=1.0)
    decoder = HEADS["ssd"].decoder(spec, thresholds)
    tensors = {
        "boxes": np.zeros((1, 1500, 4), np.int8),
        "scores": np.full((1, 1500, 2), 100, np.int8),
    }
    whole = Placement.fit(factories.INPUT_WH, factories.INPUT_WH, resize="stretch")
    assert len(decoder.decode(tensors, whole, StageClock())) == max_detections
    # The suppressor's memory follows the number of candidates, not its square.
    suppressor = decoder.candidates._suppressor
    held = sum(part.nbytes for part in vars(suppressor).values() if isinstance(part, np.ndarray))
    assert held < 1.1 * 2**20


def test_loading_says_nothing_and_an_error_is_not_swallowed(file, capfd, tmp_path):
    load_model(file)
    assert capfd.readouterr().err == ""
    with without_notices():
        os.write(2, b"INFO: Created a delegate.\nERROR: something is wrong\n")
    assert capfd.readouterr().err == "ERROR: something is wrong\n"
