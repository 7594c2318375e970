"""What the configuration asks of the zones and lines of one camera, ready for many objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.config.zone import QUIET
from edge.stages.areas import Areas, GroundScale, Lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.config.sections import Config
    from edge.config.zone import Line, Wanted, Zone
    from edge.results.observation import Event
    from edge.stages.objects import Flags, Numbers, Rows


class Plan:
    """The zones and lines of one camera.

    Args:
        config: Its zones, lines and events.
        camera: Name of the camera.
        size_wh: Of its frames, pixels.
        labels: Of the model.

    Attributes:
        size_wh: As given.
        labels: As given.
        zones: `Z` of them.
        lines: `L` of them.
        names: Of both.
        borders: The lines' geometry.
        grounds: Of each zone and line, or `None`.
        dwell_s: `(Z, 1)`, infinite where a zone has none.
        settle_s: How long a change must last.
        lost_s: How long a track may be missing.
    """

    def __init__(
        self, config: Config, camera: str, size_wh: tuple[int, int], *, labels: Sequence[str]
    ) -> None:
        self.size_wh = size_wh
        self.labels = labels
        self.zones = tuple(each for each in config.zones if each.camera in (None, camera))
        self.lines = tuple(each for each in config.lines if each.camera in (None, camera))
        places: tuple[Zone | Line, ...] = (*self.zones, *self.lines)
        self.names = [place.name for place in places]
        self.borders = Lines(self.lines, size_wh[0] / size_wh[1])
        self.grounds = [GroundScale(each.ground) if each.ground else None for each in places]
        self.dwell_s = np.array([[zone.dwell_s or np.inf] for zone in self.zones]).reshape(-1, 1)
        events = config.events or QUIET
        self.settle_s = events.settle_s
        follows = config.follows
        self.lost_s = follows.lost_s if follows else 0.0
        self._kinds = set(events.kinds)
        self._areas = Areas(self.zones)
        self._wanted = {place: labels_of(place, config, labels) for place in (*places, None)}
        self._named = {place: _named(place, config) for place in (*self.zones, None)}
        of_zones = [[label in self._wanted[zone] for label in labels] for zone in self.zones]
        self._allowed = np.array(of_zones).reshape(len(self.zones), len(labels))
        limits = np.array(
            [(z.min_score, z.min_area_ratio, z.max_area_ratio) for z in self.zones]
        ).reshape(-1, 3)
        has_limits = bool((limits != (0, 0, 1)).any())
        self._limits = limits.T[..., None] if has_limits else None  # (3, Z, 1)

    def placed(self, boxes: Numbers, class_ids: Rows, best: Numbers) -> Flags:
        """Return which objects are in which zone and to the right of which line, `(Z + L, N)`.

        Args:
            boxes: `(2, 2, N)`, shares of the frame.
            class_ids: `(N,)`
            best: `(N,)`, the best score of each.
        """
        zones = len(self.zones)
        placed = np.empty((len(self.names), len(class_ids)), np.bool_)
        if zones:
            self._areas.holds(boxes, out=placed[:zones])
            placed[:zones] &= self._allowed.take(class_ids, axis=1)
            if self._limits is not None:
                min_score, least, most = self._limits
                sides = boxes[1] - boxes[0]
                area = sides[0] * sides[1]
                placed[:zones] &= (best >= min_score) & (area >= least) & (area <= most)
        if self.lines:
            np.greater(self.borders.past(boxes), 0, out=placed[zones:])
        return placed

    def wants(self, place: Zone | Line, class_id: int, score: float, *, box: Numbers) -> bool:
        """Whether an object matters there: its class, best score and box `(2, 2)`."""
        width, height = box[1] - box[0]
        return bool(
            self.labels[class_id] in self._wanted[place]
            and score >= place.min_score
            and place.min_area_ratio <= width * height <= place.max_area_ratio
        )

    def tells(self, event: Event) -> bool:
        """Whether an event is one that was asked for."""
        return event.kind in self._kinds and (bool(event.zone) or event.label in self._wanted[None])

    def counted(self, zone: int, class_ids: Rows, *, before: Iterable[str]) -> dict[str, int]:
        """Return how many objects there are of each label in a zone; -1: the frame.

        Args:
            zone: Which.
            class_ids: Of the objects there.
            before: Labels to count, 0 too, where the configuration names none; more may come.
        """
        place = self.zones[zone] if zone >= 0 else None
        counts = dict.fromkeys(self._named[place] or before, 0)
        for class_id in class_ids.tolist():
            label = self.labels[class_id]
            if label in self._wanted[place]:
                counts[label] = counts.get(label, 0) + 1
        return counts

    def common_with(self, other: Plan) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return which zones and lines another plan has too: pairs of numbers, ours and theirs.

        Zones by name, lines by name and place.
        """
        zones = {zone.name: number for number, zone in enumerate(other.zones)}
        lines = {_place(line): number for number, line in enumerate(other.lines)}
        return (
            [(n, zones[z.name]) for n, z in enumerate(self.zones) if z.name in zones],
            [(n, lines[_place(e)]) for n, e in enumerate(self.lines) if _place(e) in lines],
        )


def _place(line: Line) -> tuple[object, ...]:
    return line.name, line.start, line.end, line.anchor


def labels_of(place: Wanted | None, config: Config, labels: Sequence[str]) -> tuple[str, ...]:
    """Return which labels matter in a zone or on a line, or for `None` in the whole frame."""
    return _named(place, config) or tuple(dict.fromkeys(label for label in labels if label))


def _named(place: Wanted | None, config: Config) -> tuple[str, ...] | None:
    return (place.labels if place else None) or (config.events.labels if config.events else None)
