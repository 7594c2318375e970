"""Tracks: which detections of one camera's frames are the same object.

ByteTrack's association: what was seen well is paired with the tracks first, then what was seen
badly with those that are left, so that an object half hidden stays the one it is and noise makes no
new one. All goes by the source's clock: a frame that is missing only makes the step longer.

Source: Zhang et al. 2022 (ByteTrack), algorithm 1. Otherwise than there, an object has its id from
its first frame on, boxes are wider where frames are far apart, a detection of another class counts
half, and a new track may be missing for `NEW_LOST_S`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, cast

import numpy as np

from edge.config.sections import Tracking
from edge.stages import motion as motions
from edge.stages.filtering import least_scores
from edge.stages.pairing import overlapping, paired
from edge.stages.source_clock import SourceClock
from edge.stages.tracks import Seen, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.results.detections import Detections
    from edge.results.observation import Observation
    from edge.stages.registry import Setting

    Scores = NDArray[np.float32]
    Rows = NDArray[np.intp]

# Least IoU of a detection and where its track should be. Twenty drawn scenes at 30, 10 and 5 frames
# a second: HOTA 76.7, 68.6 and 54.0 with 0.1, 77.6, 69.0 and 56.2 with this.
LEAST_ALIKE = 0.2
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


class Tracker:
    """The stage `track`: gives each detection the id of its track, a camera at a time.

    What reaches the score threshold is passed on, each with its track; of what reaches only the
    lower one, no more than is the sighting of an object that was seen well before.

    Args:
        settings: Of the configuration.
        score: The score threshold.
        cameras: The tracks of each; those of a stage before this one go on.
        class_scores: Makes the least score of each class `(C,)` for a camera, where filters ask
            for more than the threshold.
    """

    name = "track"

    def __init__(
        self,
        settings: Tracking,
        score: float,
        cameras: dict[str, CameraTracks],
        *,
        class_scores: Callable[[str], Scores] | None = None,
    ) -> None:
        self._settings = settings
        self._score = score
        self._cameras = cameras
        self._class_scores = cache(class_scores) if class_scores else None

    @classmethod
    def of(cls, given: Setting) -> Tracker:
        """Return the stage that a configuration asks for."""
        config, score = given.config, given.thresholds.score
        labels = given.description.labels

        def class_scores(camera: str) -> Scores:
            least: Scores = np.maximum(least_scores(config, camera, labels), np.float32(score))
            return least

        return cls(
            config.follows or Tracking(), score, given.memory,
            class_scores=class_scores if config.filters else None,
        )  # fmt: skip

    def process(self, observation: Observation) -> Observation:
        """Return the observation with the ids of its detections."""
        found = cast("Detections", observation.result)
        tracks = self._cameras.get(observation.camera)
        if tracks is None:
            tracks = self._cameras[observation.camera] = CameraTracks()
        score = self._class_scores(observation.camera) if self._class_scores else self._score
        seen = Seen.of(found, score=score)
        rows, ids, stationary = tracks.follow(seen, observation.source_ns, self._settings)
        if len(rows) < len(found):
            found = found[rows]
        # Limits cut the least scores first: none that would have been passed on.
        was_cut = seen.good == len(seen.rows)
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
        self._tracks = Tracks.begun(np.zeros((2, 2, 0)), np.zeros(0, np.int32), first_id=1, now_s=0)
        self._next_id = 1
        self._clock = SourceClock()
        self._some_missed = False

    def __len__(self) -> int:
        return len(self._tracks.ids)

    def follow(
        self, seen: Seen, clock_ns: int, settings: Tracking
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
            self._tracks += Tracks.begun(*begun, first_id=self._next_id, now_s=self._clock.now_s)
            self._next_id += len(new)
            matched = (track_of >= 0).nonzero()[0]
        passed = matched[seen.rows[matched].argsort()]
        rows = track_of[passed]
        stationary = self._clock.now_s - self._tracks.rest_s[rows] >= settings.stationary_s
        return seen.rows[passed], self._tracks.ids[rows], stationary

    def _step(self, clock_ns: int, lost_s: float) -> None:
        """Move all tracks on, and end those that were missing for too long.

        A camera that is slower than that all the time keeps them over one missing frame.
        """
        self._clock.step(clock_ns)
        if len(self):
            self._tracks.missed += 1
            if self._some_missed or self._clock.elapsed_s > min(NEW_LOST_S, lost_s):
                self._end_lost(lost_s)
            motions.predict_inplace(self._tracks.motion, self._clock.elapsed_s)

    def _end_lost(self, lost_s: float) -> None:
        tracks, clock = self._tracks, self._clock
        limit_s, new_limit_s = map(clock.may_miss_s, (lost_s, min(NEW_LOST_S, lost_s)))
        limits_s = np.where(tracks.sightings >= CONFIRMED, limit_s, new_limit_s)
        kept = clock.now_s - tracks.seen_s <= limits_s
        unseen = (kept & (tracks.missed > 1)).nonzero()[0]
        if len(unseen) > MAX_UNSEEN:
            latest_first = unseen[tracks.missed[unseen].argsort(kind="stable")]
            kept[latest_first[MAX_UNSEEN:]] = False
        if not kept.all():
            self._tracks = tracks[kept]

    def _pair(self, seen: Seen) -> NDArray[np.intp]:
        """Return the row of the track that each detection belongs to, or -1."""
        track_of = np.full(len(seen.rows), -1)
        tracks, good = self._tracks, seen.good
        if not len(self) or not len(track_of):
            return track_of
        period_s = self._clock.elapsed_s or self._clock.period_s
        wider = 1 + 2 * min(MOST_WIDER, WIDER_PER_S * period_s)
        values = np.concatenate([tracks.motion[motions.VALUE], seen.measured], axis=-1)
        boxes = motions.corners(values, wider=wider)
        rows, columns, likeness = overlapping(boxes, first=len(self))
        is_other = tracks.class_ids.take(rows) != seen.class_ids.take(columns)
        likeness[is_other] *= OTHER_CLASS
        # What was seen well goes to known tracks first, then what was seen badly to those of them
        # that are left, then what is left of the former to new ones.
        rounds, is_new = columns >= good, tracks.sightings < CONFIRMED
        if np.logical_or.reduce(is_new):
            of_new = is_new.take(rows)
            likeness *= ~(rounds & of_new)
            rounds = rounds + 2 * of_new
        alike = (likeness >= LEAST_ALIKE).nonzero()[0]
        rows, columns = rows.take(alike), columns.take(alike)
        order = -likeness.take(alike), rounds.take(alike)
        chosen = paired(rows, columns, order=order)
        track_of[columns[chosen]] = rows[chosen]
        return track_of

    def _see(self, seen: Seen, matched: Rows, rows: Rows) -> None:
        """Correct the tracks of these rows by the detections that they were matched with."""
        tracks, now_s = self._tracks, self._clock.now_s
        self._some_missed = len(rows) < len(self)
        # What is out of sight goes on as it went, and neither grows nor shrinks.
        if self._some_missed:
            unseen = np.ones(len(self), np.bool_)
            unseen[rows] = False
            tracks.motion[motions.SPEED, 1, :, unseen] = 0
        if not len(rows):
            return
        measured = seen.measured.take(matched, axis=-1)
        motion = motions.corrected(tracks.motion.take(rows, axis=-1), measured)
        tracks.motion[..., rows] = motion
        tracks.missed[rows] = 0
        tracks.seen_s[rows] = now_s
        tracks.sightings[rows] += matched < seen.good
        tracks.class_ids[rows] = seen.class_ids[matched]
        centres, sides = motion[motions.VALUE]
        strayed = np.abs(centres - tracks.rest.take(rows, axis=1)) > RESTING * sides
        moved = np.logical_or(*strayed).nonzero()[0]
        if len(moved):
            tracks.rest[:, rows[moved]] = centres[:, moved]
            tracks.rest_s[rows[moved]] = now_s
