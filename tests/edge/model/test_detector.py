import numpy as np
import pytest

from edge.capture.options import SourceOptions
from edge.capture.synthetic import DEFAULT_SIZE_WH, FRAMES_PER_SCENE, DemoSource
from edge.model import manifest
from edge.model.default import default_model_path
from edge.model.detector import Detector
from edge.placement import Placement

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def file():
    return manifest.read(default_model_path())


@pytest.fixture(scope="module")
def detector(file):
    return Detector(file)


def scene(index):
    width, height = DEFAULT_SIZE_WH
    image = np.empty((height, width, 3), np.uint8)
    with DemoSource("", SourceOptions(realtime=False)) as source:
        source.render(index * FRAMES_PER_SCENE + FRAMES_PER_SCENE // 2, out=image)
    return image


@pytest.mark.parametrize(("index", "label"), [(0, "person"), (1, "cat"), (2, "cup")])
def test_the_built_in_model_knows_the_built_in_scenes(detector, index, label):
    found = detector.detect(scene(index))
    best = int(found.class_ids[0])
    assert detector.spec.manifest.labels[best] == label
    assert found.scores[0] > 0.7


def test_boxes_are_in_the_pixels_of_the_image_and_within_it(detector):
    image = scene(1)
    whole = detector.detect(image).copy()
    half = detector.detect(np.ascontiguousarray(image[::2, ::2]))
    assert (whole.boxes >= 0).all()
    assert (whole.boxes <= [1280, 720, 1280, 720]).all()
    # Other pixels are sampled, so a side may differ by some quanta of 10 px; never by its half.
    np.testing.assert_allclose(half.boxes[0] * 2, whole.boxes[0], atol=60)


def test_a_box_outside_the_frame_is_not_a_detection(detector):
    detector.detect(scene(0))
    decoder = detector._decoder
    decoder.boxes[:3] = [[400, 10, 450, 90], [10, 10, 90, 90], [-50, 0, -1, 99]]
    decoder.scores[:3] = [0.9, 0.8, 0.7]
    decoder.class_ids[:3] = [0, 1, 2]
    found = detector.finish(3, Placement.fit((300, 300), (300, 300), resize="stretch"))
    assert found.boxes.tolist() == [[10, 10, 90, 90]]
    assert found.scores.tolist() == pytest.approx([0.8])
    assert found.class_ids.tolist() == [1]


def test_thresholds_and_limits_are_the_caller_s(file):
    image = scene(2)
    many = Detector(file, score_threshold=0.05).detect(image)
    few = Detector(file, score_threshold=0.05, max_detections=2).detect(image)
    assert len(many) > len(few) == 2
    assert (many.scores >= 0.05).all()
    assert len(Detector(file, score_threshold=1.0).detect(image)) == 0
