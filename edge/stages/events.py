"""Events: what the tracked objects of one camera do in its zones and on its lines, told once.

A change counts once it has lasted for `settle_s` of the camera's clock, so that who flickers at a
border makes no events. Most frames change nothing: they cost the look whether something did.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from edge.results.observation import Event
from edge.stages.areas import margins, shares
from edge.stages.objects import SAMPLE_S, SAMPLES, Objects, feet
from edge.stages.source_clock import SourceClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.results.detections import Detections
    from edge.results.observation import EventKind, Observation
    from edge.stages.objects import Flags, Numbers, Rows
    from edge.stages.plan import Plan

    Counts = dict[str, dict[str, int]]

# Objects that are not seen, the latest ones; what is on a frame is bounded by `max_detections`.
MAX_UNSEEN = 256


class CameraEvents:
    """The objects of one camera.

    Attributes:
        counts: How many objects of each label are in each zone, `""` for the frame; of a line, how
            many went each way so far. Another dict each time that it changes.
    """

    def __init__(self, camera: str, plan: Plan, next_id: Callable[[], str]) -> None:
        self.counts: Counts = {}
        self._camera = camera
        self._plan = plan
        self._next_id = next_id
        self._clock = SourceClock()
        self._utc_ns = 0
        self._objects = Objects.blank(0, zones=len(plan.zones), lines=len(plan.lines))
        self._crossed: Counts = {}
        self._events: list[Event] = []
        # Whether somebody is not known yet, or is on another side of a line than was told, and when
        # the next change of a zone has lasted, or the next one has been in it, for long enough.
        self._has_young = self._is_astray = True
        self._move_at_s = self._dwell_at_s = -math.inf
        self._is_new_plan = False
        self._seen = 0
        self._sampled_s: list[float] = []

    def follow(self, observation: Observation, plan: Plan) -> list[Event]:
        """Go on to the next frame; return what happened, in order."""
        self._events = []
        if plan is not self._plan:
            self._adopt(plan)
        self._clock.step(observation.source_ns)
        self._utc_ns = observation.captured_utc_ns
        found = cast("Detections", observation.result)
        self._end_lost()
        if not len(found) and not len(self._objects) and self.counts and not self._events:
            self._seen = 0
            return []
        boxes = shares(found, observation.size_wh)
        rows = self._rows(found)
        objects, now_s = self._objects, self._clock.now_s
        objects.seen_s[rows] = now_s
        objects.seen_utc[rows] = self._utc_ns
        best = np.maximum(objects.best[rows], found.scores)
        objects.best[rows] = best
        placed = plan.placed(boxes, objects.class_ids[rows], best)  # (Z + L, N)
        flips = placed != objects.placed.take(rows, axis=1)
        if np.logical_or.reduce(flips, axis=None):
            self._flip(self._moved(flips, found, rows), rows, boxes=boxes)
        self._is_new_plan = False
        objects.boxes[..., rows] = boxes
        if self._has_young:
            self._know(found, rows)
        if now_s >= self._move_at_s:
            self._move(rows)
        if self._is_astray and plan.lines:
            self._cross(rows, boxes)
        if now_s >= self._dwell_at_s:
            self._dwell(rows)
        if not self._sampled_s or now_s - self._sampled_s[-1] >= SAMPLE_S:
            objects.sample_inplace(rows, feet(boxes))
            self._sampled_s = [*self._sampled_s[1 - SAMPLES :], now_s]
        self._seen = len(rows)
        if self._events or not self.counts:
            self.counts = self._counted()
        return [event for event in self._events if plan.tells(event)]

    def _rows(self, found: Detections) -> Rows:
        """Return the row of each detection's object; new ones begin."""
        ids = found.track_ids
        if ids is None:
            raise ValueError("detections have no track_ids; expected the stage `track` before")
        objects = self._objects
        rows = objects.ids.searchsorted(ids)
        is_new = np.ones(len(ids), np.bool_)
        if len(objects):
            is_new = objects.ids.take(rows, mode="clip") != ids
        if not is_new.any():
            return rows
        new = Objects.blank(
            int(is_new.sum()), zones=len(self._plan.zones), lines=len(self._plan.lines)
        )
        order = ids[is_new].argsort()
        new.ids[:] = ids[is_new][order]
        new.class_ids[:] = found.class_ids[is_new][order]
        new.first_s[:] = self._clock.now_s
        new.first_utc[:] = self._utc_ns
        objects.add_inplace(new)
        self._has_young = self._is_astray = True
        return objects.ids.searchsorted(ids)

    def _end_lost(self) -> None:
        """Let go of what was not seen for as long as its track is kept."""
        objects, limit_s = self._objects, self._clock.may_miss_s(self._plan.lost_s)
        if len(objects) == self._seen and self._clock.elapsed_s <= limit_s:
            return
        gone = self._clock.now_s - objects.seen_s > limit_s
        if len(objects) - self._seen > MAX_UNSEEN:
            gone[objects.seen_s.argsort(kind="stable")[: -self._seen - MAX_UNSEEN]] = True
        for row in (gone & objects.known).nonzero()[0].tolist():
            for zone in objects.inside[:, row].nonzero()[0].tolist():
                self._leave(zone, row, ended_utc=objects.seen_utc[row])
            objects.known[row] = False
            self._tell("disappear", row, ended_utc=objects.seen_utc[row])
        if gone.any():
            objects.keep_inplace(~gone)

    def _moved(self, flips: Flags, found: Detections, rows: Rows) -> Flags:
        """Return the flips without those of boxes that rest on a zone's border, and waver there."""
        if found.stationary is not None and not self._is_new_plan:
            rests = found.stationary & self._objects.known[rows]
            flips[: len(self._plan.zones)] &= ~rests
        return flips

    def _flip(self, flips: Flags, rows: Rows, *, boxes: Numbers) -> None:
        """Take in who is in a zone, or on a side of a line, that they were not in before."""
        objects, plan = self._objects, self._plan
        zones = len(plan.zones)
        zone, column = flips[:zones].nonzero()
        objects.since_s[zone, rows[column]] = self._clock.now_s
        objects.since_utc[zone, rows[column]] = self._utc_ns
        if len(zone):
            self._move_at_s = min(self._move_at_s, self._clock.now_s + plan.settle_s)
        strayed = flips[zones:] & (objects.side[:, rows] != 0)
        for line, at in _places(strayed):
            before, now = objects.boxes[..., rows[at]], boxes[..., at]
            objects.through[line, rows[at]] = plan.borders.is_through(line, before, now)
            self._is_astray = True
        objects.placed[:, rows] ^= flips

    def _know(self, found: Detections, rows: Rows) -> None:
        """Tell who has been seen for long enough."""
        objects = self._objects
        young = (~objects.known[rows]).nonzero()[0]
        if not len(young):  # those that are out of sight
            return
        better = young[found.scores[young] >= objects.best[rows[young]].astype(np.float32)]
        objects.class_ids[rows[better]] = found.class_ids[better]
        lasts = self._clock.now_s - objects.first_s[rows[young]] >= self._plan.settle_s
        for row in np.sort(rows[young[lasts]]).tolist():
            objects.known[row] = True
            self._move_at_s = -math.inf
            self._tell("appear", row)
        self._has_young = not objects.known.all()

    def _move(self, rows: Rows) -> None:
        """Tell who left and who entered a zone, and find when the next one will have."""
        objects, plan, now_s = self._objects, self._plan, self._clock.now_s
        zones = len(plan.zones)
        changed = objects.placed[:zones] != objects.inside
        changed &= objects.known
        seen = np.zeros(len(objects), np.bool_)
        seen[rows] = True
        moves = _places(changed & seen & (now_s - objects.since_s >= plan.settle_s))
        # By object; who goes from one zone to another leaves first.
        for zone, row in sorted(moves, key=lambda at: (at[1], not objects.inside[at], at[0])):
            changed[zone, row] = False
            if objects.inside[zone, row]:
                self._leave(zone, row, ended_utc=objects.since_utc[zone, row])
                continue
            objects.inside[zone, row] = True
            objects.dwelt[zone, row] = False
            objects.entered_s[zone, row] = objects.since_s[zone, row]
            objects.entered_utc[zone, row] = objects.since_utc[zone, row]
            self._dwell_at_s = -math.inf
            self._tell("enter", row, zone=zone)
        self._move_at_s = float(objects.since_s[changed].min(initial=math.inf)) + plan.settle_s

    def _leave(self, zone: int, row: int, *, ended_utc: int) -> None:
        self._objects.inside[zone, row] = False
        self._tell("leave", row, zone=zone, ended_utc=ended_utc)

    def _cross(self, rows: Rows, boxes: Numbers) -> None:
        """Tell who is far enough on the other side of a line, if the way there led through it."""
        objects, plan = self._objects, self._plan
        past = plan.borders.past(boxes)  # (L, N)
        side, told = np.sign(past), objects.side[:, rows]
        far = (np.abs(past) > margins(boxes)) & (side != told)
        far &= objects.known[rows] | (told == 0)
        for line, at in _places(far):
            row, place = rows[at], plan.lines[line]
            objects.side[line, row] = side[line, at]
            best, class_id = objects.best[row], objects.class_ids[row]
            if not (told[line, at] and objects.through[line, row]):
                continue
            if plan.wants(place, class_id, best, box=boxes[..., at]):
                word = place.words[0 if side[line, at] > 0 else 1]
                totals = self._crossed.setdefault(place.name, {})
                totals[word] = totals.get(word, 0) + 1
                self._tell("cross", row, zone=len(plan.zones) + line, direction=word)
        right = objects.placed[len(plan.zones) :]
        self._is_astray = bool((np.where(right, 1, -1) != objects.side).any())

    def _dwell(self, rows: Rows) -> None:
        """Tell who has been in a zone for long enough, and find when the next one will have."""
        objects = self._objects
        waits = objects.inside & ~objects.dwelt
        due_s = objects.entered_s + self._plan.dwell_s  # (Z, T), infinite where none is told
        seen = np.zeros(len(objects), np.bool_)
        seen[rows] = True
        for zone, row in _places(waits & seen & (self._clock.now_s >= due_s)):
            objects.dwelt[zone, row] = True
            waits[zone, row] = False
            self._tell("dwell", row, zone=zone)
        self._dwell_at_s = float(due_s[waits].min(initial=math.inf))

    def _tell(
        self, kind: EventKind, row: int, *, zone: int = -1, direction: str = "",
        ended_utc: int | None = None,
    ) -> None:  # fmt: skip
        objects, plan = self._objects, self._plan
        began = objects.first_utc[row]
        if kind in ("enter", "leave", "dwell"):
            began = objects.entered_utc[zone, row]
        ground = plan.grounds[zone] if zone >= 0 else None
        (x1, y1), (x2, y2) = objects.boxes[..., row].tolist()
        self._events.append(
            Event(
                id=self._next_id(),
                kind=kind,
                camera=self._camera,
                label=plan.labels[objects.class_ids[row]],
                track_id=int(objects.ids[row]),
                zone=plan.names[zone] if zone >= 0 else "",
                direction=direction,
                started_utc_ns=int(began),
                ended_utc_ns=None if ended_utc is None else int(ended_utc),
                score=float(objects.best[row]),
                box=(x1, y1, x2, y2),
                path=objects.path_of(row),
                speed=objects.speed_of(row, ground, self._sampled_s) if ground else None,
            )
        )

    def _counted(self) -> Counts:
        objects, plan = self._objects, self._plan
        there = [objects.known, *objects.inside]
        counts = {
            name: plan.counted(zone, objects.class_ids[is_in], before=self.counts.get(name, ()))
            for zone, (name, is_in) in enumerate(zip(["", *plan.names], there, strict=False), -1)
        }
        for line in plan.lines:
            totals = self._crossed.get(line.name, {})
            counts[line.name] = {word: totals.get(word, 0) for word in line.words}
        return counts

    def _adopt(self, plan: Plan) -> None:
        """Go on by another plan: zones go on by their names, lines that are as they were too."""
        old, self._plan = self._plan, plan
        counts = (len(plan.zones), len(plan.lines)), (len(old.zones), len(old.lines))
        self._objects = self._objects.moved(*plan.common_with(old), counts=counts)
        self._has_young = self._is_astray = self._is_new_plan = True
        self._move_at_s, self._dwell_at_s, self.counts = -math.inf, -math.inf, {}


def _places(flags: Flags) -> list[tuple[int, int]]:
    """Return rows and columns of what is so, by rows."""
    rows, columns = flags.nonzero()
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
