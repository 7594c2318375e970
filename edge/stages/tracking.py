"""Tracks: which detections of one camera's frames are the same object.

ByteTrack's association: what was seen well is paired with the tracks first, then what was seen
badly with those that are left, so that an object half hidden stays the one it is and noise makes no
new one. All goes by the source's clock: a frame that is missing only makes the step longer.

Source: Zhang et al. 2022 (ByteTrack), algorithm 1, and the limits of its published code. Otherwise
than there, boxes are wider where frames are far apart, a detection of another class counts half,
and a new track may be missing for `NEW_LOST_S`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edge.stages import motion as motions
from edge.stages.pairing import overlaps, paired

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.config.sections import Tracking
    from edge.results.detections import Detections
    from edge.results.observation import Observation

    Numbers = NDArray[np.float64]
    Rows = NDArray[np.intp]

# Least IoU times score of what was seen well and a track, and a track that was seen once; least
# IoU of what was seen badly. Source: ByteTrack, `byte_tracker.py`, 1 - 0.8, 1 - 0.7, 1 - 0.5.
LEAST_GOOD, LEAST_NEW, LEAST_BAD = 0.2, 0.3, 0.5
# How far out each side of a box is looked for, in shares of the box, for each second between two
# frames. Drawn scenes of 8 to 20 people at 30, 5 and 2 frames a second: IDF1 0.868, 0.694 and 0.456
# without, 0.896, 0.837 and 0.679 with it. Source: Yang et al. 2023 (C-BIoU), there of any time.
WIDER_PER_S, MOST_WIDER = 4.0, 1.0
# A detector that wavers between two classes keeps the track; two objects in one place stay two.
OTHER_CLASS = 0.5
# How long a track that was seen once may be missing.
NEW_LOST_S = 0.5
# Sightings from which on a track is one, and not noise.
CONFIRMED = 2
# Tracks that nothing is seen of, the latest ones; `max_detections` bounds the others.
MAX_UNSEEN = 256
# How far, in shares of its sides, the centre of an object that rests may stray.
RESTING = 0.25
NS_PER_S = 1e9


@dataclass(slots=True)
class _Tracks:
    """`T` tracks of one camera, by rising id.

    Attributes:
        motion: `(5, 2, 2, T)` float64, as `edge.stages.motion` has it.
        ids: `(T,)` int64, > 0.
        class_ids: `(T,)` int32, of the last sighting.
        sightings: `(T,)` int64, how often it was seen well.
        missed: `(T,)` int64, frames since the last sighting.
        seen_s: `(T,)` float64, when that was, of the source's clock.
        rest: `(2, T)` float64, x and y of the centre, where it came to rest.
        rest_s: `(T,)` float64, since when.
    """

    motion: Numbers
    ids: NDArray[np.int64]
    class_ids: NDArray[np.int32]
    sightings: NDArray[np.int64]
    missed: NDArray[np.int64]
    seen_s: Numbers
    rest: Numbers
    rest_s: Numbers

    @classmethod
    def begun(
        cls, measured: Numbers, class_ids: NDArray[np.int32], *, first_id: int, now_s: float
    ) -> _Tracks:
        """Return a new track for each of the centres and sides `(2, 2, N)`."""
        count = len(class_ids)
        motion = motions.begun(measured)
        return cls(
            motion,
            np.arange(first_id, first_id + count, dtype=np.int64),
            class_ids,
            np.ones(count, np.int64),
            np.zeros(count, np.int64),
            np.full(count, now_s),
            measured[0],
            np.full(count, now_s),
        )

    def __getitem__(self, rows: NDArray[np.bool_]) -> _Tracks:
        return _Tracks(*(getattr(self, name)[..., rows] for name in _Tracks.__slots__))

    def __add__(self, other: _Tracks) -> _Tracks:
        both = ((getattr(self, name), getattr(other, name)) for name in _Tracks.__slots__)
        return _Tracks(*(np.concatenate(columns, axis=-1) for columns in both))


@dataclass(slots=True)
class _Seen:
    """`N` detections of finite numbers, by falling score, whatever order they came in.

    Attributes:
        rows: `(N,)`, which of the frame's detections each is.
        measured: `(2, 2, N)` float64, centre and sides, x and y of each.
        scores: `(N,)` float32.
        class_ids: `(N,)` int32.
        good: How many, the first ones, reach the score threshold.
    """

    rows: Rows
    measured: Numbers
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    good: int

    @classmethod
    def of(cls, found: Detections, *, score: float) -> _Seen:
        """Take those of a frame whose numbers are finite."""
        fits = np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.scores)
        # All columns, so that rows that come in another order are the same tracks.
        rows = np.lexsort((found.class_ids, *found.boxes.T, -found.scores))
        if not fits.all():
            rows = rows[fits[rows]]
        scores = found.scores[rows]
        good = int(np.count_nonzero(scores >= np.float32(score)))
        boxes = found.boxes[rows].T.astype(np.float64, order="C").reshape(2, 2, -1)
        return cls(rows, motions.centred(boxes), scores, found.class_ids[rows], good)


class Tracker:
    """The stage `track`: gives each detection the id of its track, a camera at a time.

    What reaches the score threshold is passed on, each with its track; of what reaches only the
    lower one, no more than is the sighting of an object that was seen well before.

    Args:
        settings: Of the configuration.
        score: The score threshold.
        cameras: The tracks of each; those of a stage before this one go on.
    """

    name = "track"

    def __init__(self, settings: Tracking, score: float, cameras: dict[str, CameraTracks]) -> None:
        self._settings = settings
        self._score = score
        self._cameras = cameras

    def process(self, observation: Observation) -> Observation:
        """Return the observation with the ids of its detections."""
        found = cast("Detections", observation.result)
        tracks = self._cameras.get(observation.camera)
        if tracks is None:
            tracks = self._cameras[observation.camera] = CameraTracks()
        seen = _Seen.of(found, score=self._score)
        lowest = found.scores.min(initial=1)
        rows, ids, stationary = tracks.follow(seen, observation.source_ns, self._settings)
        if len(rows) < len(found):
            found = found[rows]
        # Limits cut the least scores first: none that would have been passed on.
        was_cut = lowest >= np.float32(self._score)
        return replace(
            observation,
            result=replace(
                found,
                track_ids=ids,
                stationary=stationary,
                is_full=found.is_full and was_cut,
                cut_candidates=found.cut_candidates * was_cut,
            ),
        )


class CameraTracks:
    """The tracks of one camera, at most `MAX_UNSEEN` beside those of the last two frames."""

    def __init__(self) -> None:
        self._tracks = _Tracks.begun(
            np.zeros((2, 2, 0)), np.zeros(0, np.int32), first_id=1, now_s=0
        )
        self._next_id = 1
        self._clock_ns: int | None = None
        self._now_s = self._period_s = 0.0

    def __len__(self) -> int:
        return len(self._tracks.ids)

    def follow(
        self, seen: _Seen, clock_ns: int, settings: Tracking
    ) -> tuple[Rows, NDArray[np.int64], NDArray[np.bool_]]:
        """Go on to the next frame.

        Args:
            seen: On it.
            clock_ns: Of the source; one that was set back has not moved.
            settings: Of this frame.

        Returns:
            Which of the frame's detections to pass on, rising, the id of each, and which of them
            are stationary.
        """
        self._step(clock_ns, settings.lost_s)
        track_of = self._pair(seen)  # (N,)
        matched = (track_of >= 0).nonzero()[0]
        self._see(seen, matched, track_of[matched])
        new = (track_of[: seen.good] < 0).nonzero()[0]
        if len(new):
            track_of[new] = np.arange(len(self), len(self) + len(new))
            begun = seen.measured[..., new], seen.class_ids[new]
            self._tracks += _Tracks.begun(*begun, first_id=self._next_id, now_s=self._now_s)
            self._next_id += len(new)
        passed = (track_of >= 0).nonzero()[0]
        passed = passed[seen.rows[passed].argsort()]
        rows = track_of[passed]
        stationary = self._now_s - self._tracks.rest_s[rows] >= settings.stationary_s
        return seen.rows[passed], self._tracks.ids[rows], stationary

    def _step(self, clock_ns: int, lost_s: float) -> None:
        """Move all tracks on, and end those that were missing for too long.

        A camera that is slower than that all the time keeps them over one missing frame.
        """
        elapsed_s = 0.0 if self._clock_ns is None else max(0, clock_ns - self._clock_ns) / NS_PER_S
        self._clock_ns = clock_ns
        self._now_s += elapsed_s
        if len(self):
            self._tracks.missed += 1
            if self._tracks.missed.max() > 1 or elapsed_s > min(NEW_LOST_S, lost_s):
                self._end_lost(lost_s, self._period_s or elapsed_s)
            motions.predict_inplace(self._tracks.motion, elapsed_s)
        self._period_s = elapsed_s or self._period_s

    def _end_lost(self, lost_s: float, period_s: float) -> None:
        tracks = self._tracks
        limits_s = np.where(tracks.sightings >= CONFIRMED, lost_s, min(NEW_LOST_S, lost_s))
        kept = self._now_s - tracks.seen_s <= np.maximum(limits_s, 2 * period_s)
        unseen = (kept & (tracks.missed > 1)).nonzero()[0]
        if len(unseen) > MAX_UNSEEN:
            latest_first = unseen[tracks.missed[unseen].argsort(kind="stable")]
            kept[latest_first[MAX_UNSEEN:]] = False
        if not kept.all():
            self._tracks = tracks[kept]

    def _pair(self, seen: _Seen) -> NDArray[np.intp]:
        """Return the row of the track that each detection belongs to, or -1."""
        track_of = np.full(len(seen.rows), -1)
        tracks, good = self._tracks, seen.good
        if not len(self) or not len(track_of):
            return track_of
        wider = 1 + 2 * min(MOST_WIDER, WIDER_PER_S * self._period_s)
        expected = motions.corners(tracks.motion[motions.VALUE], wider=wider)[..., None]
        boxes = motions.corners(seen.measured, wider=wider)[:, :, None]
        likeness = overlaps(expected, boxes)  # (T, N)
        likeness *= np.where(tracks.class_ids[:, None] == seen.class_ids, 1, OTHER_CLASS)
        likeness[:, :good] *= seen.scores[:good]
        confirmed = tracks.sightings >= CONFIRMED
        known = confirmed.nonzero()[0]
        rows, columns = paired(likeness[known, :good], LEAST_GOOD)
        track_of[columns] = known[rows]
        if good < len(track_of):
            left = tracks.missed[known] == 1
            left[rows] = False
            known = known[left]
            rows, columns = paired(likeness[known, good:], LEAST_BAD)
            track_of[good + columns] = known[rows]
        new, free = (~confirmed).nonzero()[0], (track_of[:good] < 0).nonzero()[0]
        if len(new) and len(free):
            rows, columns = paired(likeness[np.ix_(new, free)], LEAST_NEW)
            track_of[free[columns]] = new[rows]
        return track_of

    def _see(self, seen: _Seen, matched: Rows, rows: Rows) -> None:
        """Correct the tracks of these rows by the detections that they were matched with."""
        tracks = self._tracks
        # What is out of sight goes on as it went, and neither grows nor shrinks.
        if len(rows) < len(self):
            unseen = np.ones(len(self), np.bool_)
            unseen[rows] = False
            tracks.motion[motions.SPEED, 1, :, unseen] = 0
        if not len(rows):
            return
        measured = seen.measured.take(matched, axis=-1)
        motion = motions.corrected(tracks.motion.take(rows, axis=-1), measured)
        tracks.motion[..., rows] = motion
        tracks.missed[rows] = 0
        tracks.seen_s[rows] = self._now_s
        is_good = matched < seen.good
        tracks.sightings[rows] += is_good
        tracks.class_ids[rows[is_good]] = seen.class_ids[matched[is_good]]
        centres, sides = motion[motions.VALUE]
        moved = (np.abs(centres - tracks.rest[:, rows]) > RESTING * sides).any(axis=0).nonzero()[0]
        if len(moved):
            tracks.rest[:, rows[moved]] = centres[:, moved]
            tracks.rest_s[rows[moved]] = self._now_s
