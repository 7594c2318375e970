"""What arrives at a broker, as lines for people."""

import json

import pytest
from factories import message

from edge.watching import Lines

pytestmark = pytest.mark.board

TOPIC = "edge/porch/front/detections"
CROSSED = (
    b'{"event_type":"cross","label":"person","track_id":7,"zone":"gate","direction":"in",'
    b'"speed_mps":1.25,"counts":{"in":3,"out":1}}'
)
APPEARED = (
    b'{"event_type":"appear","label":"dog","track_id":8,"zone":"","direction":"",'
    b'"speed_mps":null,"counts":{}}'
)


def frame(*labels):
    fields = json.loads(message().payload)
    box = {"class_id": 0, "score": 0.876, "box_px": [1, 2, 3.4, 4], "box_ratio": [0, 0, 1, 1]}
    fields["detections"] = [box | {"label": label} for label in labels]
    return json.dumps(fields).encode()


def test_a_frame_is_told_when_it_shows_other_things_than_the_last_line():
    now = [0.0]
    lines = Lines(hold_s=1, clock=lambda: now[0])
    assert lines.line(TOPIC, frame()) == "porch/front  nothing"
    assert lines.line(TOPIC, frame("cat")) == ""  # too soon
    now[0] = 1.0
    assert lines.line(TOPIC, frame("cat")) == "porch/front  cat 0.88 at (1, 2, 3, 4) px"
    now[0] = 9.0
    assert lines.line(TOPIC, frame("cat")) == ""
    assert lines.line(TOPIC, frame("cat", "cat")).count("cat 0.88") == 2
    assert lines.line("edge/porch/back/detections", frame("cat")).startswith("porch/back  cat")


def test_each_frame_is_told_to_who_wants_it():
    lines = Lines(every=True, hold_s=9)
    assert [bool(lines.line(TOPIC, frame("cat"))) for _ in range(3)] == [True] * 3


def test_of_many_things_the_first_few_are_named():
    assert Lines().line(TOPIC, frame(*["cat"] * 9)).endswith(" and 3 more")


@pytest.mark.parametrize(
    ("topic", "payload", "line"),
    [
        ("edge/porch/status", b"online", "porch  online"),
        ("edge/porch/front/status", b"frozen", "porch/front  frozen"),
        (
            "edge/porch/model",
            b'{"model":{"name":"ssd"},"backend":"litert","version":"2","provider":"","accelerator":"x"}',
            "porch  runs ssd, by litert 2 on x",
        ),
        (
            "edge/porch/front/events",
            b'{"schema_version":1,"camera":"front","event":"enter","zone":"gate","m":0.1234567}',
            "porch/front  events: event enter, zone gate, m 0.123457",
        ),
        (
            "edge/porch/front/events",
            CROSSED,
            "porch/front  person #7 crossed gate in at 1.2 m/s (now 3 in, 1 out)",
        ),
        ("edge/porch/front/events", APPEARED, "porch/front  dog #8 appeared"),
        (
            "edge/porch/front/counts",
            b'{"counts":{"frame":{"cat":2,"dog":0},"door":{"cat":0}}}',
            "porch/front  frame: 2 cat",
        ),
        (
            "edge/porch/front/counts",
            b'{"counts":{"frame":{"cat":0}}}',
            "porch/front  nobody and nothing anywhere",
        ),
        ("edge/porch/front/counts", b"", "porch/front  counts: "),
        ("edge/porch/front/snapshot", b"\xff\xd8" * 700, "porch/front  snapshot: 1,400 bytes"),
        ("edge/porch/presence", b"host (1.2.3.4)", "porch  presence: host (1.2.3.4)"),
        ("other", b"said", "other  said"),
        ("edge/porch/model", b"{}", "porch  model: {}"),
        (TOPIC, b"no JSON", "porch/front  detections: no JSON"),
        (
            TOPIC,
            b'{"detections":[{}]}',
            "porch/front  detections: detections [{}]",
        ),
        (TOPIC, b"[" * 9000, "porch/front  detections: " + "[" * 274 + "…"),
        ("edge/porch/status", b"\x1b[2Jon\nline", "porch  \ufffd[2Jon\ufffdline"),
        ("edge/\x1b/status", b"online", "\ufffd  online"),
    ],
)
def test_whatever_arrives_is_one_line_that_does_nothing_to_a_terminal(topic, payload, line):
    assert Lines().line(topic, payload) == line
    assert len(line) <= 300


def test_a_label_out_of_a_stranger_s_model_does_nothing_to_a_terminal():
    assert "\x1b" not in Lines().line(TOPIC, frame("\x1b[31mcat"))
