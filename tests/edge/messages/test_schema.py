"""The JSON Schema of the messages, and what the documentation says of them."""

from __future__ import annotations

import json
import re
import typing

import jsonschema
import pytest
from factories import encoder, observation

from edge.messages import detections as detection_payload
from edge.messages import envelope as payload
from edge.messages import segmentation as segmentation_payload
from edge.messages.schema import schema

pytestmark = pytest.mark.board

PARTS = (
    detection_payload.DetectionsPayload,
    detection_payload.DetectionPayload,
    segmentation_payload.SegmentationPayload,
    segmentation_payload.AreaPayload,
    segmentation_payload.ClassMapPayload,
    payload.FramePayload,
)


def test_the_committed_schema_is_the_one_of_the_types(root):
    committed = json.loads((root / "docs" / "payload.schema.json").read_text(encoding="utf-8"))
    assert committed == schema(), "type: .venv/bin/python scripts/make_payload_schema"


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_documented_examples_fit_the_schema(root):
    text = (root / "docs" / "payload.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    for example, field in zip(examples, ("detections", "class_map"), strict=True):
        jsonschema.validate(json.loads(example), schema())
        assert field in json.loads(example)


@pytest.mark.parametrize("part", PARTS, ids=[part.__name__ for part in PARTS])
def test_the_documentation_names_every_field(root, part):
    text = (root / "docs" / "payload.md").read_text(encoding="utf-8")
    for name in typing.get_type_hints(part):
        assert f"`{name}`" in text


def test_a_message_is_of_one_kind():
    both = {"detections": [], "areas": []}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(both, schema())


def test_stages_may_have_any_name_but_the_four_that_every_frame_has():
    stages = dict.fromkeys(("capture", "preprocess", "invoke", "decode"), 1.5)
    message = json.loads(encoder().encode(observation(stage_ms=stages | {"track": 0.25})))
    jsonschema.validate(message, schema())
    assert message["stage_ms"]["track"] == 0.25
    del message["stage_ms"]["invoke"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(message, schema())
