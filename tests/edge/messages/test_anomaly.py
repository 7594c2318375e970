"""The message of an autoencoder's frame, its summary and its picture."""

from __future__ import annotations

import json
import re
import typing

import jsonschema
import numpy as np
import pytest
from factories import IDENTITY, observation

from edge.draw.results import draw_anomaly_inplace as draw_inplace
from edge.messages.anomaly import (
    TOPIC,
    AnomalyDetailPayload,
    AnomalyPayload,
    HeatMapPayload,
    describe,
    fields,
)
from edge.messages.envelope import Encoder
from edge.messages.schema import schema
from edge.results.anomaly import Anomaly, AnomalyTally

pytestmark = pytest.mark.board

HEAT = np.array([[0.0, 0.1234567], [0.5, 0.0]], np.float32)


def anomaly(error):
    return Anomaly(error, 0.25, HEAT)


def encoder():
    return Encoder(*IDENTITY, TOPIC, fields)


@pytest.mark.parametrize(("error", "label"), [(0.2, "normal"), (0.25, "anomaly"), (0.3, "anomaly")])
def test_a_message_fits_the_schema_and_says_whether_the_threshold_is_reached(error, label):
    message = json.loads(encoder().encode(observation(result=anomaly(error))))
    jsonschema.validate(message, schema())
    assert set(message) == set(typing.get_type_hints(AnomalyPayload))
    detail = message["anomaly"]
    assert (detail["error"], detail["threshold"]) == (error, 0.25)
    assert detail["is_anomaly"] is (label == "anomaly")
    assert detail["heat_map"] == {"width": 2, "height": 2, "errors": [0, 0.123457, 0.5, 0]}
    assert describe(message) == [(label, f"{label}: error {error:.4g} of 0.25")]
    assert encoder().topic("front") == "edge/porch/front/anomaly"


def test_a_copy_keeps_its_heat():
    heat = HEAT.copy()
    kept = Anomaly(0.1, 0.2, heat).copy()
    heat[:] = 9
    np.testing.assert_array_equal(kept.heat, HEAT)


def test_a_run_is_told_by_its_anomalies_and_its_highest_error():
    tally = AnomalyTally()
    for error in (0.1, 0.3, 0.2):
        tally.add(anomaly(error))
    assert tally.text() == "1 of 3 frames are anomalies, highest error 0.3"


def test_the_hot_cell_is_tinted_and_the_cold_one_is_not():
    image = np.full((400, 400, 3), 90, np.uint8)
    draw_inplace(image, anomaly(0.3), None)
    assert image[390, 10].tolist() != [90, 90, 90]
    assert image[390, 390].tolist() == [90, 90, 90]


def test_the_page_of_the_documentation_shows_what_is_sent(root):
    text = (root / "docs" / "anomaly.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    jsonschema.validate(json.loads(example), schema())
    for part in (AnomalyDetailPayload, HeatMapPayload):
        for name in typing.get_type_hints(part):
            assert f"`{name}`" in text
