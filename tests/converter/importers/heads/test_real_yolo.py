"""yolov3-tiny with its decode in the graph: cut again, it gives the same boxes on photographs."""

from __future__ import annotations

import numpy as np
import pytest
from litert_runs import run
from reference.decoded_yolo import decoded

from converter.choice import Choice, InputChoice, Origin
from converter.graph.writing import write
from converter.importers.facts import complete
from converter.importers.tflite import import_tflite
from converter.importing import import_draft
from edge.capture.images import load_image
from edge.heads import HEADS
from edge.model.loaded import load_model
from edge.preprocess import InputBuffer

pytestmark = [pytest.mark.converter, pytest.mark.assets]

THRESHOLD, SIDE, PHOTOGRAPHS = 0.1, 416, 8
WHOLE = InputChoice(color="rgb", mean=(0.0,) * 3, std=(255.0,) * 3, resize="stretch")


@pytest.fixture(scope="module")
def original(assets, tmp_path_factory):
    folder = assets / "models" / "yolov3_tiny"
    cfg, weights = folder / "yolov3-tiny.mask123.cfg", folder / "yolov3-tiny.weights"
    draft = import_draft(cfg, family="yolo", choice=Choice(weights=weights))
    graph = decoded(draft.graph, draft.head, input_wh=draft.size_wh)
    path = tmp_path_factory.mktemp("decoded") / "yolo.tflite"
    path.write_bytes(write(graph))
    return path, draft.head


def best_first(scores, *others):
    order = np.argsort(-scores, kind="stable")
    return [values[order] for values in (scores, *others)]


def test_boxes_and_scores_on_photographs_are_those_of_the_original(original, assets):
    path, head = original

    draft = import_tflite(path, family=None, choice=Choice())

    assert {g.anchors_px for g in draft.head.grids} == {g.anchors_px for g in head.grids}
    origin = Origin(name="m", source="here")
    file = complete(draft, path, family="yolo", origin=origin, choice=WHOLE)
    spec = load_model(file).spec
    thresholds = spec.description.thresholds(score=THRESHOLD, max_candidates=4096)
    decoder, buffer = HEADS["yolo"].decoder(spec, thresholds), InputBuffer(spec)
    found = 0
    for photograph in sorted((assets / "data" / "coco_train178").rglob("*.jpg"))[:PHOTOGRAPHS]:
        buffer.fill(load_image(photograph))
        (rows,) = run(path.read_bytes(), buffer.tensor, path)["decoded"]
        shares = rows[:, 4:5] * rows[:, 5:]
        places, classes = np.nonzero(shares >= THRESHOLD)
        center, half = rows[places, :2] * SIDE, rows[places, 2:4] * SIDE / 2
        wanted = best_first(shares[places, classes], np.hstack([center - half, center + half]))

        count = decoder.find(run(file.flatbuffer, buffer.tensor, path))

        ours = decoder.candidates
        scores, boxes = best_first(ours.scores[:count], ours.boxes[:count])
        np.testing.assert_allclose(scores, wanted[0], atol=1e-5)
        np.testing.assert_allclose(boxes, wanted[1], atol=1e-2)
        found += count
    assert found > PHOTOGRAPHS
