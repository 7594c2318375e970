"""The message of a classifier's frame, its summary and its picture."""

from __future__ import annotations

import json
import re
import typing

import jsonschema
import numpy as np
import pytest
from factories import IDENTITY, LABELS, observation

from edge.draw.results import draw_classes_inplace as draw_inplace
from edge.messages.classes import TOPIC, ClassesPayload, ClassPayload, describe, fields
from edge.messages.envelope import Encoder
from edge.messages.schema import schema
from edge.results.classes import Classes, ClassTally

pytestmark = pytest.mark.board


def classes(*rows):
    ids, scores = zip(*rows, strict=True) if rows else ((), ())
    return Classes(np.array(ids, np.int32), np.array(scores, np.float32))


def encoder():
    return Encoder(*IDENTITY, TOPIC, fields(LABELS))


def test_a_message_fits_the_schema_and_has_no_field_beside_it():
    encoded = encoder().encode(observation(result=classes((2, 0.87654), (0, 0.1))))
    message = json.loads(encoded)
    jsonschema.validate(message, schema())
    assert set(message) == set(typing.get_type_hints(ClassesPayload))
    assert message["classes"] == [
        {"label": "cat", "class_id": 2, "score": 0.8765},
        {"label": "person", "class_id": 0, "score": 0.1},
    ]
    assert describe(message) == [("cat", "cat 0.88"), ("person", "person 0.10")]
    assert encoder().topic("front") == "edge/porch/front/classes"


def test_no_class_is_an_empty_list():
    assert json.loads(encoder().encode(observation(result=classes())))["classes"] == []


def test_ids_and_scores_must_match():
    with pytest.raises(ValueError, match=r"class_ids must have shape \(1,\) .* got \(2,\)"):
        Classes(np.zeros(2, np.int32), np.zeros(1, np.float32))


def test_a_copy_keeps_its_numbers():
    seen = classes((1, 0.5))
    kept = seen.copy()
    seen.scores[:] = 0
    assert kept.scores.tolist() == [0.5]


def test_a_run_is_told_by_its_most_frequent_classes():
    tally = ClassTally(LABELS)
    assert tally.text() == "no frames"
    for seen in (classes((2, 0.9), (0, 0.8)), classes((0, 0.5)), classes((2, 0.7)), classes()):
        tally.add(seen)
    assert tally.text() == "cat in 2 frames, person in 1 frames, no class in 1 frames"


def test_each_class_is_a_line_in_the_corner():
    described = type("Described", (), {"labels": LABELS})
    one, two = (np.zeros((240, 320, 3), np.uint8) for _ in range(2))
    draw_inplace(one, classes((0, 0.9)), described)
    draw_inplace(two, classes((0, 0.9), (2, 0.8)), described)
    assert 0 < (one != 0).sum() < (two != 0).sum()
    assert not one[120:].any()


def test_the_page_of_the_documentation_shows_what_is_sent(root):
    text = (root / "docs" / "classes.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    jsonschema.validate(json.loads(example), schema())
    for name in typing.get_type_hints(ClassPayload):
        assert f"`{name}`" in text
