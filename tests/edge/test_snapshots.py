"""The best image of the last object of each label: which one it is, how large, how often."""

from __future__ import annotations

import itertools
import re

import cv2
import numpy as np
import pytest
from factories import LABELS, observation
from memory_sink import MemorySink
from waiting import eventually

from edge.config.sections import Snapshots
from edge.errors import ConfigError
from edge.messages.snapshot import snapshot_topic
from edge.results.detections import Detections
from edge.snapshots import MOST_IMAGES, SnapshotTaker

pytestmark = pytest.mark.board

PERSON, CAT = 0, 2
FRAME_WH = (1280, 720)
SECOND = 10**9


class Camera:
    """Stands for a capture: remembers what it was asked for."""

    def __init__(self, name="front"):
        self.camera = name
        self.wanted = []

    def want_picture(self, max_side_px):
        self.wanted.append(max_side_px)
        return lambda: self.wanted.remove(max_side_px)


def frame(at_s, *rows, camera="front", picture="grey", size=(360, 640)):
    """Return an observation of rows (class id, score, box, track id), with a picture of a grey."""
    boxes = np.array([row[2] for row in rows], np.float32).reshape(-1, 4)
    tracks = [row[3] for row in rows if len(row) > 3]
    found = Detections(
        boxes,
        np.array([row[1] for row in rows], np.float32),
        np.array([row[0] for row in rows], np.int32),
        np.array(tracks, np.int64) if tracks else None,
    )
    grey = 40 + int(at_s * 5) if picture == "grey" else 0
    return observation(
        camera=camera,
        result=found,
        source_ns=int(at_s * SECOND),
        size_wh=FRAME_WH,
        picture=np.full((*size, 3), grey, np.uint8) if picture else None,
    )


def box(side, x=100.0, y=100.0):
    return (x, y, x + side, y + side)


@pytest.fixture
def taker():
    """Return a function that makes a taker of one camera; all are closed at the end."""
    made = []

    def taker(camera=None, **settings):
        sink, cameras = MemorySink(), [camera or Camera()]
        one = SnapshotTaker(lambda: cameras, "porch", send=sink.send)
        one.follow(Snapshots(**settings), LABELS)
        # Asks for pictures; the frame itself has none.
        one(frame(0, picture=None, camera=cameras[0].camera))
        made.append(one)
        return one, sink

    yield taker
    for one in made:
        one.close()


def sent(one, sink):
    """Return topic, grey and size of what was sent, once all of it is."""
    one.close()
    images = [
        (each.topic, cv2.imdecode(np.frombuffer(each.payload, np.uint8), cv2.IMREAD_COLOR))
        for each in sink.messages
    ]
    return [
        (topic.removeprefix("edge/porch/front/snapshot/"), round(image.mean()), image.shape[:2])
        for topic, image in images
    ]


def at(seconds):
    """Return the grey of a picture of that time."""
    return 40 + int(seconds * 5)


def test_the_first_image_goes_at_once_and_then_the_best_when_the_next_is_due(taker):
    one, sink = taker(every_s=10)
    for at_s, score, side in [(1, 0.5, 50), (2, 0.6, 90), (4, 0.9, 200), (6, 0.9, 150)]:
        one(frame(at_s, (CAT, score, box(side))))
        if at_s == 1:
            assert eventually(lambda: len(sink.messages) == 1)
    # It is gone, and the image of second 4 was its best.
    one(frame(10.9))
    one(frame(11.1))
    found = sent(one, sink)
    assert [(label, grey) for label, grey, _ in found] == [("cat", at(1)), ("cat", at(4))]
    told = sink.messages[0]
    assert (told.retain, told.policy, told.topic) == (
        True,
        "state",
        "edge/porch/front/snapshot/cat",
    )


def test_without_tracks_one_that_was_away_for_long_is_another_one(taker):
    one, sink = taker(every_s=1)
    one(frame(1, (CAT, 0.9, box(200))))
    one(frame(2.5, (CAT, 0.9, box(100))))
    one(frame(6, (CAT, 0.9, box(100))))
    assert [grey for _, grey, _ in sent(one, sink)][-1] == at(6)


def test_with_tracks_the_newest_object_counts_and_an_older_one_does_not_come_back(taker):
    one, sink = taker(every_s=0.5)
    one(frame(1, (CAT, 0.9, box(300), 4)))
    assert eventually(lambda: len(sink.messages) == 1)
    one(frame(2, (CAT, 0.9, box(310), 4), (CAT, 0.5, box(60), 7)))
    assert eventually(lambda: len(sink.messages) == 2)
    one(frame(3, (CAT, 0.95, box(320), 4)))
    assert [grey for _, grey, _ in sent(one, sink)] == [at(1), at(2)]


def test_images_go_on_when_nobody_tracks_any_more(taker):
    one, sink = taker(every_s=0.5)
    one(frame(1, (CAT, 0.9, box(300), 4)))
    assert eventually(lambda: len(sink.messages) == 1)
    one(frame(2, (CAT, 0.5, box(60))))
    assert [grey for _, grey, _ in sent(one, sink)] == [at(1), at(2)]


@pytest.mark.parametrize(
    ("label", "level"),
    [
        ("a/b+c#", "a_b_c_"),
        ("Füße 🐈", "Füße 🐈"),
        ("\0\n\x85\ud800\ufffe\ufdd0", "______"),
        ("x" * 70_000, "x" * 100),
    ],
    ids=["wildcards", "of the world", "what brokers refuse", "long"],
)
def test_any_label_has_a_topic_that_a_broker_takes(label, level):
    topic = snapshot_topic("porch", "front", label)
    assert topic == f"edge/porch/front/snapshot/{level}"
    assert len(topic.encode()) < 65_536


def test_each_label_of_those_wanted_has_an_image_of_its_own(taker):
    one, sink = taker(labels=("cat",))
    one(frame(1, (CAT, 0.9, box(100)), (PERSON, 0.9, box(100)), (1, 0.9, box(100))))
    assert [label for label, *_ in sent(one, sink)] == ["cat"]


def test_the_crop_is_the_box_with_its_margin_in_the_pixels_of_the_picture(taker):
    one, sink = taker(margin_ratio=0.25)
    one(frame(1, (CAT, 0.9, box(200))))
    # Half of the frame's pixels; a quarter at each side.
    assert [shape for *_, shape in sent(one, sink)] == [(150, 150)]


def test_the_whole_frame_is_reduced_to_the_side_that_was_asked_for(taker):
    one, sink = taker(crop=False, max_side_px=320)
    one(frame(1, (CAT, 0.9, box(200))))
    assert [shape for *_, shape in sent(one, sink)] == [(180, 320)]


def test_what_a_damaged_output_gives_is_no_image(taker):
    one, sink = taker()
    one(frame(1, (CAT, float("nan"), box(100)), (CAT, 0.5, (0, 0, float("inf"), 1))))
    assert sent(one, sink) == []


def test_a_class_that_an_exchanged_model_does_not_have_is_left_out(taker):
    one, sink = taker()
    one(frame(1, (70, 0.9, box(100))))
    assert sent(one, sink) == []


def test_pictures_are_asked_for_while_they_are_wanted_and_of_a_new_capture_again(taker):
    camera = Camera()
    one, _ = taker(camera, picture_px=1920)
    assert camera.wanted == [1920]
    one(frame(1))
    assert camera.wanted == [1920]
    one.follow(None, LABELS)
    assert camera.wanted == []


def test_a_frame_that_was_asked_for_is_sent_whole_and_nothing_is_asked_afterwards():
    sink, cameras = MemorySink(), [Camera(), Camera("back")]
    one = SnapshotTaker(lambda: cameras, "porch", send=sink.send)
    one(frame(0, (CAT, 0.9, box(100))))
    assert one.request("front") == "the next frame goes to edge/porch/front/snapshot/frame"
    for at_s in (1, 2, 3):
        one(frame(at_s, (CAT, 0.9, box(100)), picture="grey" if cameras[0].wanted else None))
    assert [label for label, *_ in sent(one, sink)] == ["frame"]
    assert [camera.wanted for camera in cameras] == [[], []]


def test_all_cameras_can_be_asked_for_and_a_strange_one_is_refused():
    cameras = [Camera(), Camera("back")]
    one = SnapshotTaker(lambda: cameras, "porch", send=MemorySink().send)
    assert "front/snapshot/frame and edge/porch/back/snapshot/frame" in one.request(None)
    with pytest.raises(ConfigError, match=re.escape("a camera of front, back, found 'side'")):
        one.request("side")


def test_images_that_wait_are_few_however_many_labels_there_are(taker):
    labels = tuple(f"label {number}" for number in range(100))
    one, _ = taker(every_s=60)
    one.follow(Snapshots(every_s=60), labels)
    one(frame(1, picture=None))
    for at_s in (1, 2):
        for number in range(100):
            one(frame(at_s + number / 200, (number, 0.5, box(50 * at_s))))
    assert sum(best.image is not None for best in one._best.values()) <= MOST_IMAGES


def test_each_of_many_labels_that_rest_in_one_frame_has_its_image(taker):
    labels = tuple(f"label {number}" for number in range(3 * MOST_IMAGES))
    one, sink = taker()
    one.follow(Snapshots(every_s=60), labels)
    one(frame(1, picture=None))
    rows = [(number, 0.5, box(50)) for number in range(len(labels))]
    times = itertools.count(1)

    def all_came():
        one(frame(next(times) / 100, *rows))
        return len({each.topic for each in sink.messages}) == len(labels)

    assert eventually(all_came)
    assert len(sink.messages) == len(labels)


def test_a_sink_that_has_ended_ends_the_images_only(caplog):
    def send(_message):
        raise ValueError("send must come before close")

    one = SnapshotTaker(lambda: [Camera()], "porch", send=send)
    one.follow(Snapshots(), LABELS)
    one(frame(0, picture=None))
    one(frame(1, (CAT, 0.9, box(100))))
    assert eventually(lambda: "snapshots end" in caplog.text)
    one(frame(20, (CAT, 0.9, box(200))))
    one.close()


def test_one_thread_encodes_and_frames_do_not_wait_for_it(taker):
    one, sink = taker(every_s=0.5, crop=False)
    for number in range(40):
        one(frame(number, (CAT, 0.5 + number / 100, box(100 + 10 * number))))
    # The newest waits for room.
    assert eventually(lambda: one(frame(39)) or one._best["front", "cat"].image is None)
    found = sent(one, sink)
    assert 1 <= len(found) <= 40
    assert found[-1][1] == at(39)
