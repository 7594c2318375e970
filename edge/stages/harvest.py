"""The stage `harvest`: keeps uncertain and odd frames on the device, to calibrate with later.

A picture is asked for when a frame is worth it, and the next such frame that brings one is kept: so
that in between no picture is copied. Files never leave the device; who wants them copies them.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import re
import stat
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.config.paths import state_folder
from edge.draw.jpeg import encoded, reduced
from edge.errors import ConfigError
from edge.messages.envelope import EPOCH, utc_text
from edge.results.classes import Classes
from edge.tasks import task_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.config.selfcheck import Harvest
    from edge.results.observation import Observation
    from edge.stages.registry import Setting

NS_PER_S, DAY_S, MIB = 1e9, 86_400.0, 2**20
# No two kept frames of a camera are closer, or a day's would all be of one minute.
APART_S = 60.0
# How long a picture is waited for.
ASK_S = 5.0
# A class is rare that makes up less than this of all that was seen, once there was enough.
RARE_RATIO, ENOUGH = 0.01, 1000
# Share of a day's frames that may be ahead of the hour: else the first hour would take them all.
AHEAD_RATIO = 0.1
MOST_WAITING = 4
# Of one image, and its share of all.
MOST_IMAGE_BYTES, IMAGE_RATIO = 4 * MIB, 0.25
OPEN_MODE = 0o077
# Names of our files, and of what a power cut left of them: time, and camera.
OURS = re.compile(r"\.?(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6})Z_([\w-]+)\.(?:json|jpg)")

log = logging.getLogger("edge")


@dataclass(slots=True)
class CameraHarvest:
    """What is known of one camera; times are seconds since the Unix epoch, UTC."""

    kept_s: float
    baseline_s: float  # whatever it showed
    asked_s: float = 0.0
    release: Callable[[], object] | None = None  # while a picture is asked for
    seen: Counter[int] = field(default_factory=Counter)  # by class id


class HarvestStage:
    """Keeps frames within the budgets; stands before what leaves detections out, to see them all.

    The `cameras`, and the `store` that writes, of a stage before this one go on.
    """

    name = "harvest"

    def __init__(self, settings: Harvest, given: Setting) -> None:
        check(settings)
        labels, folder = [label.casefold() for label in given.description.labels], _folder(settings)
        wanted = [label.casefold() for label in settings.exclude]
        if unknown := [label for label in wanted if label not in labels]:
            log.warning(
                "[harvest] exclude: the model has no label %s, and frames that show it are kept",
                ", ".join(unknown),
            )
        self._settings, self._ask, self._score = settings, given.ask, given.thresholds.score
        encoder = task_for(given.description).encoder
        self._encoder = encoder(given.config.device.name, given.description)
        self._excluded = {number for number, label in enumerate(labels) if label in wanted}
        self._cameras: dict[str, CameraHarvest] = given.memory.setdefault("cameras", {})
        store = given.memory.get("store")
        if store is None or store.folder != folder:
            store = given.memory["store"] = Store(folder)
        self._store: Store = store
        store.most_bytes, store.per_day = settings.max_mib * MIB, settings.per_day
        store.max_side_px = settings.max_side_px

    def process(self, observation: Observation) -> Observation:
        """Keep the frame, or not; the observation goes on as it is."""
        name, now_s = observation.camera, observation.captured_utc_ns / NS_PER_S
        if name not in self._cameras:
            last_s = self._store.last_s.get(name, -math.inf)
            self._cameras[name] = CameraHarvest(last_s, last_s)
        camera, picture = self._cameras[name], observation.picture
        why = self._why(observation, camera, now_s)
        is_late = not 0 <= now_s - camera.asked_s <= ASK_S
        if camera.release and (picture is not None or is_late):
            camera.release()
            camera.release = None
            if why and picture is not None:
                fields = json.loads(self._encoder.encode(observation))
                health = observation.health.state if observation.health else None
                text = json.dumps(fields | {"kept_for": why, "health": health}).encode()
                if self._store.put(observation, text):
                    camera.kept_s = now_s
                    camera.baseline_s = now_s if why == "baseline" else camera.baseline_s
        elif why and not camera.release and self._store.has_room(now_s):
            camera.asked_s = now_s
            camera.release = self._ask(name, self._settings.max_side_px)
        return observation

    def _why(self, seen: Observation, camera: CameraHarvest, now_s: float) -> str:
        """Return what makes a frame worth keeping; empty for nothing."""
        ids = getattr(seen.result, "class_ids", np.zeros(0, np.int32))
        if ids.ndim > 1:  # a map of classes
            ids = np.flatnonzero(np.bincount(ids.ravel()))
        scores = getattr(seen.result, "scores", np.ones(len(ids), np.float32))
        found = ids[scores >= self._score].tolist()  # where objects are followed others come, too
        camera.seen.update(found)
        is_soon = 0 <= now_s - camera.kept_s < APART_S
        if is_soon or not self._excluded.isdisjoint(ids.tolist()):
            return ""
        baseline = self._settings.per_day * self._settings.baseline_ratio / len(self._cameras)
        if baseline and not 0 <= now_s - camera.baseline_s < DAY_S / baseline:
            return "baseline"
        if seen.health and seen.health.state == "strange":
            return "strange"
        # Of a frame's classes the others are always unlikely.
        scores = scores[:1] if isinstance(seen.result, Classes) else scores
        if np.any((scores >= self._score) & (scores < self._score + self._settings.margin)):
            return "uncertain"
        total = camera.seen.total() if found else 0
        is_rare = total >= ENOUGH and min(camera.seen[each] for each in found) < RARE_RATIO * total
        return "rare" if is_rare else ""


def _folder(settings: Harvest) -> Path:
    state = state_folder()
    folder = settings.folder or (state and state / "harvest")
    if folder is None:
        raise ConfigError(
            'expected a folder to keep frames in, found none; write [harvest] folder = "PATH"'
        )
    return folder


def check(settings: Harvest) -> None:
    """Refuse what is there and is no folder of this user's alone.

    Raises:
        ConfigError: So it is; or nothing names a folder.
    """
    folder = _folder(settings)
    try:
        found = folder.stat()
    except OSError:
        return  # it is made when the run begins
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not is_own or found.st_mode & OPEN_MODE:
        raise ConfigError(
            f"[harvest] folder: expected {folder} to be a folder of this user's alone, found "
            f"{stat.filemode(found.st_mode)} of user {found.st_uid}; "
            + (f"type: chmod 700 {folder}" if is_own else "name another")
        )


class Store:
    """Writes images and their JSON within the budgets, on a thread that lives while any waits.

    What has been kept is read from the names of its files, so that a restart opens no new day;
    other files are not touched. A folder that is not there is made, for this user alone.

    Attributes:
        most_bytes: Of all files; the oldest make room.
        per_day: Most images of one day, UTC.
        max_side_px: Of an image.
        last_s: When an image of each camera was kept last, seconds since the Unix epoch.
        waiting: What is to be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.most_bytes = self.per_day = self.max_side_px = 0
        self.last_s: dict[str, float] = {}
        self.waiting: queue.Queue[Callable[[], None]] = queue.Queue(MOST_WAITING)
        self._days: Counter[float] = Counter()
        self._lock = threading.Lock()
        self._is_writing = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"[harvest] folder: {folder} cannot be made: {os.strerror(error.errno or 0)}; "
                "name another"
            ) from error
        for path, when, camera in self._kept():
            if path.suffix == ".jpg":
                at_s = (datetime.strptime(when, "%Y-%m-%dT%H-%M-%S.%f") - EPOCH).total_seconds()  # noqa: DTZ007 - UTC
                self._days[at_s // DAY_S] += 1
                self.last_s[camera] = at_s

    def has_room(self, now_s: float) -> bool:
        """Whether one more image may be kept at that time of that day."""
        day, of_it_s = divmod(now_s, DAY_S)
        room = 1 + self.per_day * (AHEAD_RATIO + of_it_s / DAY_S)
        return self._days[day] < min(self.per_day, room)

    def put(self, seen: Observation, text: bytes) -> bool:
        """Have a frame's picture, and the text beside it, written; False where no room is."""
        now_s = seen.captured_utc_ns / NS_PER_S
        if not self.has_room(now_s) or self.waiting.full():
            return False
        self._days[now_s // DAY_S] += 1
        name = f"{utc_text(seen.captured_utc_ns).replace(':', '-')}_{seen.camera}"
        with self._lock:
            self.waiting.put(lambda: self._write(name, seen.picture, text))
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._run, name="edge-harvest", daemon=True).start()
        return True

    def _run(self) -> None:
        while True:
            with self._lock:
                if self.waiting.empty():
                    self._is_writing = False
                    return
            write = self.waiting.get()
            try:
                write()
            except OSError as error:
                log.warning("[harvest] %s: %s", self.folder, os.strerror(error.errno or 0))
            finally:
                self.waiting.task_done()

    def _write(self, name: str, picture: Any, text: bytes) -> None:  # noqa: ANN401
        most_bytes = min(MOST_IMAGE_BYTES, int(self.most_bytes * IMAGE_RATIO))
        # Somebody else may have asked for a larger one.
        image = encoded(reduced(picture, self.max_side_px), most_bytes=most_bytes)
        self._make_room(len(image) + len(text))
        files = [(self.folder / f"{name}.json", text), (self.folder / f"{name}.jpg", image)]
        try:
            # The JSON first: an image without one would never be explained.
            for path, data in files:
                part = path.with_name(f".{path.name}")
                with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file)  # else a power cut leaves an empty file under the name
                part.replace(path)
        except OSError:
            for left in self.folder.glob(f"*{name}.*"):
                left.unlink(missing_ok=True)
            raise

    def _make_room(self, more_bytes: int) -> None:
        sizes = [(path, path.stat().st_size) for path, _, _ in self._kept()]
        total = sum(size for _, size in sizes) + more_bytes
        for path, size in sizes:
            if total <= self.most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _kept(self) -> Iterator[tuple[Path, str, str]]:
        """Yield our files, the oldest first: path, time and camera."""
        for path in sorted(self.folder.iterdir(), key=lambda each: each.name.lstrip(".")):
            if match := OURS.fullmatch(path.name):
                yield path, match[1], match[2]
