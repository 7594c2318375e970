"""The sections `[[zone]]`, `[[line]]`, `[[mask]]`, `[[filter]]` and `[events]`: what matters where.

Points are shares of the frame, from its upper left corner: x to the right, y downwards.
"""

from __future__ import annotations

import difflib
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta, field

from edge.config.camera import Name
from edge.record import Checks, Finite, PositiveFloat, Ratio, Record
from edge.results.observation import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Anchor = Literal["bottom", "center", "overlap"]
Point = tuple[Finite, Finite]
Points = Annotated[
    tuple[Point, ...],
    Meta(max_length=64, description="a list of up to 64 points such as [0.2, 0.5]"),
]
Labels = Annotated[
    tuple[str, ...], Meta(min_length=1, description="a list of labels, at least one")
]
LEAST_POINTS, GROUND_POINTS = 3, 4
WHOLE_FRAME = "frame"  # among the counts


def _check_polygon(points: tuple[Point, ...]) -> None:
    if len(points) < LEAST_POINTS:
        raise ValueError(f"expected at least {LEAST_POINTS} points, found {len(points)}; add some")
    _check_inside(points)
    _check_distinct(points)
    count = len(points)
    sides = [(points[n], points[(n + 1) % count]) for n in range(count)]
    for one, other in combinations(range(count), 2):
        if other - one not in (1, count - 1) and _touch(sides[one], sides[other]):
            raise ValueError(
                f"expected sides that do not cross, found that of points {_side(one, count)} on "
                f"that of points {_side(other, count)}; list the points in their order around it"
            )
    if not any(turn(points[0], points[1], point) for point in points[2:]):
        raise ValueError("expected an area, found points on one straight line; move one")


def _side(number: int, count: int) -> str:
    return f"{number + 1} and {(number + 1) % count + 1}"


def _check_inside(points: Iterable[Point]) -> None:
    for number, point in enumerate(points, 1):
        if not all(0 <= value <= 1 for value in point):
            raise ValueError(
                f"expected x and y from 0 to 1, found point {number} at {list(point)}; of pixels, "
                "divide x by the frame's width and y by its height"
            )


def _check_distinct(points: tuple[Point, ...]) -> None:
    for one, other in combinations(range(len(points)), 2):
        if points[one] == points[other]:
            raise ValueError(
                f"expected points that differ, found points {one + 1} and {other + 1} both at "
                f"{list(points[one])}; leave one out (the last is joined to the first by itself)"
            )


def _check_end(point: Point) -> None:
    _check_inside([point])


def _check_words(words: tuple[str, str]) -> None:
    if words[0] == words[1] or not all(words):
        raise ValueError(f"expected two words that differ, found {list(words)}; such as in and out")


def _check_name(name: str) -> None:
    if name == WHOLE_FRAME:
        raise ValueError(f"{name!r} stands for the whole frame; choose another name")


def turn(origin: Point, one: Point, other: Point) -> float:
    """Return a number > 0 where the way from `origin` by `one` to `other` turns one way, < 0 …."""
    (x0, y0), (x1, y1), (x2, y2) = origin, one, other
    return (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)


def _touch(side: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Whether two segments have a point in common."""
    first = [turn(*side, point) for point in other]
    second = [turn(*other, point) for point in side]
    if min(first) * max(first) > 0 or min(second) * max(second) > 0:
        return False
    # On one straight line they may still lie apart.
    return all(
        max(min(end[axis] for end in both) for both in (side, other))
        <= min(max(end[axis] for end in both) for both in (side, other))
        for axis in (0, 1)
    )


class Ground(Record, frozen=True):
    """Where four points of the picture lie on level ground, for speeds.

    Attributes:
        image: Four points, shares of the frame.
        metres: The same four on the ground, x and y in metres, from wherever you like.
    """

    image: Annotated[tuple[Point, ...], Meta(description="a list of four points")]
    metres: Annotated[tuple[Point, ...], Meta(description="a list of four points")]

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("image", "metres"):
            points = getattr(self, key)
            if len(points) != GROUND_POINTS:
                raise ValueError(f"{key}: expected four points, found {len(points)}")
            if not all(turn(*three) for three in combinations(points, 3)):
                raise ValueError(f"{key}: expected no three points on one straight line; move one")
        _check_inside(self.image)
        ways = [
            turn(*(self.image[n] for n in three)) * turn(*(self.metres[n] for n in three)) > 0
            for three in combinations(range(GROUND_POINTS), 3)
        ]
        if len(set(ways)) > 1:
            raise ValueError(
                "image and metres: expected the same four points in the same order, found none "
                "that a camera could see like that; compare them one by one"
            )


class Wanted(Record, frozen=True, kw_only=True):
    """Which objects matter somewhere.

    Attributes:
        labels: Of the model; `None` are all.
        camera: Name of the camera; `None` are all.
        min_score: Least score.
        min_area_ratio: Least area of the box, a share of the frame's.
        max_area_ratio: Greatest.
    """

    labels: Labels | None = None
    camera: Name | None = None
    min_score: Ratio = 0.0
    min_area_ratio: Ratio = 0.0
    max_area_ratio: Ratio = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_area_ratio > self.max_area_ratio:
            raise ValueError(
                f"min_area_ratio = {self.min_area_ratio:g} is more than max_area_ratio = "
                f"{self.max_area_ratio:g}, so nothing fits; swap them"
            )


class Filter(Wanted, frozen=True, kw_only=True):
    """What a detection of these labels must be, or it is none."""


class Mask(Record, frozen=True, kw_only=True):
    """An area in which nothing is seen.

    Attributes:
        polygon: Its corners, in their order around it.
        camera: Name of the camera; `None` are all.
        labels: Of what is not seen; `None` are all.
        anchor: As of `Zone`.
        overlap_ratio: As of `Zone`.
    """

    checks: ClassVar[Checks] = {"polygon": _check_polygon}

    polygon: Points
    camera: Name | None = None
    labels: Labels | None = None
    anchor: Anchor = "bottom"
    overlap_ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5


class Zone(Wanted, frozen=True, kw_only=True):
    """An area that objects enter and leave.

    Attributes:
        name: For topics and counts.
        polygon: Its corners, in their order around it.
        anchor: What of an object must be in it: the middle of the box's lower side, the box's
            centre, or a share of the box.
        overlap_ratio: That share; of `overlap`.
        dwell_s: How long an object is in it until that is told; `None` never tells it.
        ground: For speeds.
    """

    checks: ClassVar[Checks] = {"name": _check_name, "polygon": _check_polygon}

    name: Name
    polygon: Points
    anchor: Anchor = "bottom"
    overlap_ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5
    dwell_s: PositiveFloat | None = None
    ground: Ground | None = None


class Line(Wanted, frozen=True, kw_only=True):
    """A line that objects cross.

    Attributes:
        name: For topics and counts.
        start: One end; `from` in a file.
        end: The other; `to`.
        words: For who comes from the left of somebody who looks from `start` to `end` in the
            picture, and for who comes from the right.
        anchor: Which point of an object crosses.
        ground: For speeds.
    """

    checks: ClassVar[Checks] = {
        "name": _check_name, "start": _check_end, "end": _check_end, "words": _check_words,
    }  # fmt: skip

    name: Name
    start: Point = field(name="from")
    end: Point = field(name="to")
    words: tuple[str, str] = ("in", "out")
    anchor: Literal["bottom", "center"] = "bottom"
    ground: Ground | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == self.end:
            raise ValueError(f"from and to are both {list(self.start)}; move one")


class Events(Record, frozen=True):
    """Which events are told, and how long a change must last.

    Attributes:
        labels: Of objects that are told and counted where a zone or line names none; `None` are
            all of the model.
        kinds: Which kinds.
        settle_s: How long an object must be seen, or be in a zone or out of it, until that counts.
    """

    labels: Labels | None = None
    kinds: tuple[EventKind, ...] = ("appear", "disappear", "enter", "leave", "cross", "dwell")
    settle_s: Annotated[float, Meta(ge=0, le=60)] = 0.5


# Without the section `[events]`.
QUIET = Events(kinds=("enter", "leave", "cross", "dwell"))


Place = Zone | Line | Mask | Filter


def check_places(tables: Mapping[str, object], cameras: Sequence[str]) -> None:
    """Refuse two zones or lines of one name, and a camera that is none.

    Args:
        tables: By how they are called.
        cameras: Their names.
    """
    names: set[str] = set()
    for label, place in tables.items():
        name, camera = getattr(place, "name", ""), getattr(place, "camera", None)
        if name in names:
            raise ValueError(
                f"{label}: another zone or line is named {name!r}, and their counts would be one; "
                "give each a name of its own"
            )
        names |= {name} - {""}
        if camera not in (None, *cameras):
            raise ValueError(
                f"{label}: no camera is named {camera!r}; known are {', '.join(cameras)}"
            )


def unknown_labels(tables: Mapping[str, object], known: Sequence[str]) -> list[str]:
    """Return a sentence for each label that a table names and the model does not have.

    Args:
        tables: By how they are called.
        known: Of the model.
    """
    return [
        f"{name} labels: the model has no label {label!r}; "
        + (f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {some}")
        for name, table in tables.items()
        for label in getattr(table, "labels", None) or ()
        if label not in known
        for near in [difflib.get_close_matches(label, known, n=3)]
        for some in [", ".join(sorted({*known} - {""})[:9])]
    ]
