"""Zones, lines, masks, filters and events of a configuration: what is refused is said why."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import plane_geometry as slow

from edge.config.reading import parse
from edge.config.zone import Line, Zone, unknown_labels
from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.board

SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
GROUND = {"image": SQUARE, "metres": [[0, 0], [4, 0], [4, 9], [0, 9]]}


def refusal(**tables):
    with pytest.raises(ConfigError) as refused:
        parse(tables)
    return str(refused.value)


def zone(**changes):
    return {"name": "door", "polygon": SQUARE} | changes


def test_everything_that_may_be_written_is_read():
    config = parse(
        {
            "camera": {"name": "front"},
            "zone": zone(camera="front", anchor="overlap", overlap_ratio=0.2, labels=["person"],
                         min_score=0.6, min_area_ratio=0.01, max_area_ratio=0.5, dwell_s=30,
                         ground=GROUND),
            "line": [{"name": "gate", "from": [0, 0.5], "to": [1, 0.5], "words": ["up", "down"]}],
            "mask": {"polygon": SQUARE, "labels": ["car"]},
            "filter": {"labels": ["person"], "min_score": 0.6},
            "events": {"labels": ["person"], "kinds": ["enter"], "settle_s": 1},
        }
    )  # fmt: skip
    assert config.zones[0].dwell_s == 30
    assert (config.lines[0].start, config.lines[0].end) == ((0, 0.5), (1, 0.5))
    assert config.follows
    assert list(config.about_boxes()) == ["[events]", "[zone]", "[line]", "[mask]", "[filter]"]
    assert not parse({"mask": {"polygon": SQUARE}}).follows


@pytest.mark.parametrize(
    ("polygon", "why"),
    [
        pytest.param(SQUARE[:2], "expected at least 3 points, found 2", id="two points"),
        pytest.param([*SQUARE[:3], [0.1, 1.2]], "found point 4 at [0.1, 1.2]", id="outside"),
        pytest.param([[640, 10], *SQUARE[1:]], "of pixels, divide x by", id="pixels"),
        pytest.param(
            [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]],
            "that of points 1 and 2 on that of points 3 and 4", id="self-crossing",
        ),
        pytest.param([*SQUARE, SQUARE[0]], "points 1 and 5 both at [0.1, 0.1]", id="closed"),
        pytest.param([[0, 0], [0.5, 0.5], [1, 1]], "on one straight line", id="no area"),
        pytest.param("everywhere", "a list of up to 64 points", id="no list"),
        pytest.param([[0, 0]] * 65, "a list of up to 64 points", id="too many"),
        pytest.param([[0, 0], [1, 0], [float("nan"), 1]], "a list of up to 64", id="nan"),
    ],
)  # fmt: skip
def test_a_polygon_that_is_none_is_named_and_said_why(polygon, why):
    told = refusal(zone=[zone(name="first"), zone(polygon=polygon)])
    assert told.startswith("[[zone]] 2 (door) polygon: ")
    assert why in told
    assert refusal(mask=[{"polygon": polygon}]).startswith("[mask] polygon: ")


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        pytest.param({"zone": [zone(), zone()]}, "[[zone]] 2 (door): another zone or line is named "
                     "'door'", id="one name"),
        pytest.param({"zone": zone(), "line": {"name": "door", "from": [0, 0], "to": [1, 1]}},
                     "[line]: another zone or line is named 'door'", id="a line's name"),
        pytest.param({"zone": zone(name="frame")}, "stands for the whole frame", id="frame"),
        pytest.param({"zone": zone(camera="porch")}, "[zone]: no camera is named 'porch'; known "
                     "are camera", id="camera"),
        pytest.param({"zone": zone(dwell=3)}, "write 'dwell_s = 3'", id="unit"),
        pytest.param({"zone": zone(anchor="top")}, "expected 'bottom' or 'center' or 'overlap', "
                     "found 'top'", id="anchor"),
        pytest.param({"zone": zone(min_area_ratio=0.5, max_area_ratio=0.1)}, "swap them",
                     id="areas"),
        pytest.param({"zone": zone(labels=[])}, "a list of labels, at least one", id="labels"),
        pytest.param({"line": {"name": "l", "from": [0, 0], "to": [0, 0]}}, "[line]: from and to "
                     "are both [0.0, 0.0]", id="no line"),
        pytest.param({"line": {"name": "l", "from": [0, 0], "to": [0, 1], "words": ["a", "a"]}},
                     "[line] words: expected two words that differ", id="words"),
        pytest.param({"line": {"name": "l", "from": [0, 0], "to": [0, 9]}}, "[line] to: expected x "
                     "and y from 0 to 1", id="end"),
        pytest.param({"zone": zone(ground=GROUND | {"metres": [[0, 0], [1, 0], [2, 0], [0, 1]]})},
                     "metres: expected no three points on one straight line", id="ground"),
        pytest.param({"zone": zone(ground=GROUND | {"image": SQUARE[:3]})},
                     "image: expected four points, found 3", id="three"),
        pytest.param({"zone": zone(ground=GROUND | {"image": [SQUARE[n] for n in (0, 2, 1, 3)]})},
                     "in the same order", id="order"),
        pytest.param({"events": {"kinds": ["go"]}}, "found ['go']", id="kind"),
        pytest.param({"events": {"settle": 1}}, "write 'settle_s = 1'", id="settle"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tables, why):
    assert why in refusal(**tables)


def test_all_faults_are_told_at_once():
    told = refusal(zone=[zone(polygon=SQUARE[:1]), zone(min_score=2)], events={"settle_s": -1})
    assert len(told.splitlines()) == 3


def test_a_label_that_the_model_has_not_is_said_with_near_ones():
    tables = parse({"zone": [zone(labels=["persn"])], "events": {"labels": ["truk", "x"]}})
    assert unknown_labels(tables.about_boxes(), ["person", "truck", ""]) == [
        "[events] labels: the model has no label 'truk'; did you mean 'truck'?",
        "[events] labels: the model has no label 'x'; known are person, truck",
        "[zone] labels: the model has no label 'persn'; did you mean 'person'?",
    ]


POINT = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda p: (p[0] / 4, p[1] / 4))


@given(st.lists(POINT, min_size=4, max_size=6, unique=True))
def test_sides_that_cross_are_always_refused(points):
    sides = list(zip(points, [*points[1:], points[0]], strict=True))
    crossing = any(slow.crosses(*one, *other) for one in sides for other in sides)
    try:
        Zone(name="z", polygon=tuple(points))
    except ValueError:
        return
    assert not crossing


def test_records_made_by_a_program_are_checked_too():
    with pytest.raises(ValueError, match="two words that differ"):
        Line(name="l", start=(0, 0), end=(1, 1), words=("", "x"))


def test_what_the_documentation_shows_is_a_configuration(root):
    text = (root / "docs" / "zones.md").read_text(encoding="utf-8")
    first, ground = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    config = parse(tomllib.loads(first))
    assert (len(config.zones), len(config.lines), len(config.masks), len(config.filters)) == (
        1, 1, 1, 1,
    )  # fmt: skip
    read = tomllib.loads(ground)
    assert parse({"zone": read["zone"] | zone()}).zones[0].ground
