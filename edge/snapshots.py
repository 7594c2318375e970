"""The best image of the last object of each label, and of a whole frame where one is asked for."""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from edge.config.sections import Snapshots
from edge.draw.jpeg import cut, encoded, reduced
from edge.errors import ConfigError, SinkError
from edge.messages.envelope import Message
from edge.messages.snapshot import WHOLE_FRAME, snapshot_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.latest import CaptureThread
    from edge.preprocess import InputBuffer
    from edge.results.detections import Detections
    from edge.results.observation import Observation

    Key = tuple[str, str]  # camera, label
    Image = NDArray[np.uint8]

log = logging.getLogger("edge")

# Without tracks, an object of a label that was away for so long is another one.
AWAY_S = 2.0
# A copy is worth so much more of score times area.
BETTER = 1.05
# So many images wait to be due, and so many to be encoded; others are cut once there is room.
MOST_IMAGES = 16
KIB, JOIN_S = 1024, 2.0


@dataclass(slots=True)
class _Best:
    """Of one camera and label.

    Attributes:
        track_id: Of the object; 0 where nobody tracks.
        value: Score times area of its best image.
        seen_s: When it was last seen, by the source's clock.
        sent_s: When an image of the label was last sent; likewise.
        image: The best one that was not sent yet.
    """

    track_id: int = 0
    value: float = 0.0
    seen_s: float = -math.inf
    sent_s: float = -math.inf
    image: Image | None = None

    def is_due(self, now_s: float, every_s: float) -> bool:
        """Whether one may be sent; a clock that went back is that of a file that began anew."""
        return not 0 <= now_s - self.sent_s < every_s


class SnapshotTaker:
    """Follows observations, and sends images from the thread `edge-snapshots`.

    Of each label the last object counts: the one of the newest track, or, without tracks, whoever
    of the label is there until nobody was for `AWAY_S`. Its best image is that of the largest score
    times area. Pictures are asked of the cameras only while they are wanted.

    Args:
        captures: Those of now.
        device: Level of the topics.
        send: Takes messages, on any thread.
    """

    def __init__(
        self,
        captures: Callable[[], Sequence[CaptureThread[InputBuffer]]],
        device: str,
        *,
        send: Callable[[Message], object],
    ) -> None:
        self._captures = captures
        self._device = device
        self._send = send
        self._wanted: tuple[Snapshots | None, tuple[str, ...]] = None, ()
        self._asked: set[str] = set()
        # By camera, the capture that was asked for pictures, and how to ask no more.
        self._wishes: dict[str, tuple[object, Callable[[], object]]] = {}
        self._best: dict[Key, _Best] = {}
        self._queue: queue.Queue[tuple[Key, Image, int] | None] = queue.Queue(MOST_IMAGES)
        self._thread: threading.Thread | None = None

    def follow(self, settings: Snapshots | None, labels: Sequence[str]) -> None:
        """Go by other settings from the next frame on; `None` takes only what is asked for.

        Args:
            settings: Of the configuration.
            labels: Of the model.
        """
        wanted = settings.labels if settings and settings.labels else labels
        known = tuple(label if label in wanted else "" for label in labels)
        self._wanted = settings, known if settings else ()
        for _, ask_no_more in self._wishes.values():
            ask_no_more()
        self._wishes = {}

    def request(self, camera: str | None) -> str:
        """Have the next frame of a camera sent, of each for `None`; return where it goes.

        Raises:
            ConfigError: There is no such camera.
        """
        known = [capture.camera for capture in self._captures()]
        if camera is not None and camera not in known:
            raise ConfigError(f"expected a camera of {', '.join(known)}, found {camera!r}")
        names = known if camera is None else [camera]
        self._asked |= set(names)
        topics = [snapshot_topic(self._device, name, WHOLE_FRAME) for name in names]
        return f"the next frame goes to {' and '.join(topics)}"

    def __call__(self, observation: Observation) -> None:
        """Look whether one is better than those before."""
        settings, labels = self._wanted
        camera = observation.camera
        is_asked = camera in self._asked
        if settings is None and not is_asked:
            return
        if observation.picture is None or camera not in self._wishes:
            self._wish(camera, (settings or Snapshots()).picture_px)
            return
        if is_asked and not self._queue.full():
            self._asked.discard(camera)
            given = settings or Snapshots()
            image = reduced(observation.picture, given.picture_px)
            self._hand_over((camera, WHOLE_FRAME), image, given)
        if settings is None:
            self._wishes.pop(camera, (None, lambda: None))[1]()
            return
        self._look(observation, labels, settings)

    def close(self) -> None:
        """Send what waits to be encoded, and end."""
        self.follow(None, ())
        if self._thread and self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=JOIN_S)
            self._thread.join(JOIN_S)

    def _wish(self, camera: str, picture_px: int) -> None:
        for capture in self._captures():
            if capture.camera == camera and self._wishes.get(camera, (None,))[0] is not capture:
                self._wishes[camera] = capture, capture.want_picture(picture_px)

    def _look(self, observation: Observation, labels: tuple[str, ...], settings: Snapshots) -> None:
        camera, now_s = observation.camera, observation.source_ns / 1e9
        result = cast("Detections", observation.result)
        for label, (track_id, value, row) in _newest(result, labels).items():
            best = self._best.setdefault((camera, label), _Best())
            is_away = not 0 <= now_s - best.seen_s <= AWAY_S
            is_untracked = not track_id and (is_away or best.track_id)
            if track_id > best.track_id or is_untracked:
                best.track_id, best.value = track_id, 0.0
            if track_id < best.track_id:
                continue
            best.seen_s = now_s
            if value > best.value * BETTER and (best.image is not None or self._has_room()):
                best.value, best.image = value, self._cut(observation, result.boxes[row], settings)
                self._send_due((camera, label), now_s, settings)
        for key, best in self._best.items():
            if key[0] == camera and best.image is not None:
                self._send_due(key, now_s, settings)

    def _has_room(self) -> bool:
        return sum(best.image is not None for best in self._best.values()) < MOST_IMAGES

    def _send_due(self, key: Key, now_s: float, settings: Snapshots) -> None:
        best = self._best[key]
        if best.is_due(now_s, settings.every_s) and not self._queue.full():
            self._hand_over(key, cast("Image", best.image), settings)
            best.image, best.sent_s = None, now_s

    def _cut(
        self, observation: Observation, box: NDArray[np.float32], settings: Snapshots
    ) -> Image:
        picture = cast("Image", observation.picture)
        if settings.crop:
            ratio = picture.shape[1] / observation.size_wh[0]
            x1, y1, x2, y2 = (box * ratio).tolist()
            picture = cut(picture, (x1, y1, x2, y2), margin_ratio=settings.margin_ratio)
        return reduced(picture, settings.max_side_px)

    def _hand_over(self, key: Key, image: Image, settings: Snapshots) -> None:
        self._queue.put((key, image, settings.max_kib * KIB))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="edge-snapshots", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        for (camera, label), image, most_bytes in iter(self._queue.get, None):
            topic = snapshot_topic(self._device, camera, label)
            try:
                jpeg = encoded(image, most_bytes=most_bytes)
                self._send(Message(topic, jpeg, retain=True, policy="state"))
            except (SinkError, ValueError) as error:  # the end has come, or it came to the sinks
                log.warning("snapshots end: %s", error)
                return


def _newest(result: Detections, labels: Sequence[str]) -> dict[str, tuple[int, float, int]]:
    """Return of each label its newest object, and of that the best row: track, value, row."""
    tracks = [0] * len(result) if result.track_ids is None else result.track_ids.tolist()
    sides = result.boxes[:, 2:] - result.boxes[:, :2]  # (N, 2)
    values = (result.scores * sides[:, 0] * sides[:, 1]).tolist()
    found: dict[str, tuple[int, float, int]] = {}
    rows = zip(result.class_ids.tolist(), tracks, values, strict=True)
    for row, (class_id, track_id, value) in enumerate(rows):
        # Those of a model that was just exchanged may be more.
        label = labels[class_id] if class_id < len(labels) else ""
        if label and math.isfinite(value):
            found[label] = max(found.get(label, (0, 0.0, row)), (track_id, value, row))
    return found
