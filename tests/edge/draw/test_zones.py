"""Zones, lines and masks on an image."""

from __future__ import annotations

import numpy as np
import pytest

from edge.config.reading import parse
from edge.draw.annotated import draw_zones_inplace

pytestmark = pytest.mark.board

LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]


def drawn(of="camera", counts=None, **tables):
    image = np.full((90, 160, 3), 128, np.uint8)
    draw_zones_inplace(image, parse(tables), counts or {}, camera=of)
    return (image != 128).any(axis=2)


def test_a_zone_is_tinted_and_what_lies_beside_it_is_not():
    changed = drawn(zone={"name": "a", "polygon": LEFT})
    assert changed[:, :80].mean() > 0.98
    assert not changed[30:, 84:].any()


def test_a_concave_zone_leaves_its_bay_as_it_is():
    polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.5, 0.3], [0.1, 0.9]]
    changed = drawn(mask={"polygon": polygon})
    assert changed[20, 80]
    assert not changed[70, 80]


def test_only_what_is_of_the_camera_is_drawn():
    cameras = {"camera": [{"name": "camera"}, {"name": "other"}]}
    tables = cameras | {
        "zone": {"name": "a", "polygon": LEFT, "camera": "other"},
        "line": {"name": "l", "from": [0.6, 0.5], "to": [0.9, 0.5], "camera": "other"},
        "mask": {"polygon": LEFT, "camera": "other"},
    }
    assert not drawn(**tables).any()
    assert drawn(of="other", **tables)[45, 100]


def test_names_and_counts_stay_within_the_image():
    tables = {
        "zone": {"name": "z" * 60, "polygon": [[0.9, 0.9], [1, 0.9], [1, 1]]},
        "line": {"name": "l", "from": [1, 1], "to": [0.9, 0]},
    }
    counts = {"l": {"in": 3, "out": 0}, "z" * 60: {"\ud800": 1}}
    assert drawn(counts=counts, **tables).any()
