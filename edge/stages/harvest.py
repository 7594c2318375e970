"""The stage `harvest`: keeps uncertain and odd frames on the device, to calibrate with later.

A picture is asked for when a frame is worth it, and the next such frame that brings one is kept: so
that in between no picture is copied. Files are written on a thread of their own. They never leave
the device; who wants them copies the folder.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.config.paths import state_folder
from edge.draw.jpeg import encoded
from edge.errors import ConfigError
from edge.messages.envelope import utc_text
from edge.tasks import task_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config.selfcheck import Harvest
    from edge.messages.envelope import Encoder
    from edge.results.observation import Observation
    from edge.stages.registry import Setting

THREAD_NAME = "edge-harvest"
NS_PER_S = 1e9
DAY_S = 86_400.0
MIB = 2**20
# No two kept frames of a camera are closer, or a day's would all be of one minute.
APART_S = 60.0
# How long a picture is waited for.
ASK_S = 5.0
# A class is rare that makes up less than this of all that was seen, once there was enough.
RARE_RATIO, ENOUGH = 0.01, 1000
MOST_WAITING = 4
MOST_IMAGE_BYTES = 4 * MIB
OPEN_MODE = 0o077

log = logging.getLogger("edge")


@dataclass(slots=True)
class CameraHarvest:
    """What is known of one camera.

    Attributes:
        kept_s: When a frame was kept last, by the source's clock.
        baseline_s: When one was kept last whatever it showed.
        asked_s: Since when a picture is asked for.
        release: Ends that; `None` while none is asked for.
        seen: How often each class id was.
    """

    kept_s: float = -DAY_S
    baseline_s: float = -DAY_S
    asked_s: float = 0.0
    release: Callable[[], object] | None = None
    seen: dict[int, int] = field(default_factory=dict)


class HarvestStage:
    """Keeps frames within the budgets.

    Args:
        settings: Of the configuration.
        given: What else the stage is opened for. Its memory has `cameras`, and the `store` that
            writes; those of a stage before this one go on.
    """

    name = "harvest"

    def __init__(self, settings: Harvest, given: Setting) -> None:
        labels, memory, folder = given.description.labels, given.memory, folder_of(settings)
        check(settings)
        unknown = [name for name in settings.exclude if name not in labels and name != "person"]
        if unknown:
            log.warning("[harvest] exclude: the model has no label %s", ", ".join(unknown))
        self._settings = settings
        encoder = task_for(given.description).encoder
        self._encoder: Encoder = encoder(given.config.device.name, given.description)
        self._score = given.thresholds.score
        self._excluded = {number for number, name in enumerate(labels) if name in settings.exclude}
        self._ask = given.ask
        self._cameras: dict[str, CameraHarvest] = memory.setdefault("cameras", {})
        store = memory.get("store")
        if store is None or store.folder != folder:
            store = memory["store"] = Store(folder)
        self._store: Store = store
        self._store.most_bytes = settings.max_mib * MIB
        self._store.per_day = settings.per_day

    def process(self, observation: Observation) -> Observation:
        """Keep the frame, or not; the observation goes on as it is."""
        camera = self._cameras.setdefault(observation.camera, CameraHarvest())
        now_s = observation.source_ns / NS_PER_S
        why = self._why(observation, camera, now_s)
        if camera.release and (observation.picture is not None or now_s - camera.asked_s > ASK_S):
            camera.release()
            camera.release = None
            if why and observation.picture is not None:
                self._keep(observation, why)
                camera.kept_s = now_s
                if why == "baseline":
                    camera.baseline_s = now_s
        elif why and not camera.release and self._store.has_room(observation.captured_utc_ns):
            camera.asked_s = now_s
            camera.release = self._ask(observation.camera, self._settings.max_side_px)
        return observation

    def _why(self, seen: Observation, camera: CameraHarvest, now_s: float) -> str:
        """Return what makes a frame worth keeping; empty for nothing."""
        scores = getattr(seen.result, "scores", np.zeros(0, np.float32))
        class_ids = getattr(seen.result, "class_ids", np.zeros(0, np.int32))
        ids = class_ids.tolist() if np.ndim(class_ids) == 1 else []
        rare = _rare(camera.seen, ids)
        if self._excluded.intersection(ids) or 0 <= now_s - camera.kept_s < APART_S:
            return ""
        if seen.health and seen.health.state == "strange":
            return "strange"
        if np.any(scores < self._score + self._settings.margin):
            return "uncertain"
        if rare:
            return "rare"
        baseline = self._settings.per_day * self._settings.baseline_ratio
        is_due = baseline > 0 and not 0 <= now_s - camera.baseline_s < DAY_S / baseline
        return "baseline" if is_due else ""

    def _keep(self, seen: Observation, why: str) -> None:
        fields = json.loads(self._encoder.encode(seen))
        fields["kept_for"] = why
        fields["health"] = seen.health.state if seen.health else None
        assert seen.picture is not None  # noqa: S101 - it was looked at
        self._store.put(seen.camera, seen.captured_utc_ns, (seen.picture, fields))


def _rare(seen: dict[int, int], ids: list[int]) -> bool:
    """Count classes; whether one of them has hardly been seen among many."""
    for number in ids:
        seen[number] = seen.get(number, 0) + 1
    total = sum(seen.values()) if ids else 0
    return total >= ENOUGH and any(seen[number] < RARE_RATIO * total for number in ids)


def folder_of(settings: Harvest) -> Path:
    """Return where frames are kept.

    Raises:
        ConfigError: Neither the configuration nor the environment names a folder.
    """
    state = state_folder()
    if settings.folder is None and state is None:
        raise ConfigError(
            'expected a folder to keep frames in, found none; write [harvest] folder = "PATH"'
        )
    return settings.folder or state / "harvest"  # type: ignore[operator]


def check(settings: Harvest) -> None:
    """Refuse a folder that is there and that others may read.

    Raises:
        ConfigError: It is.
    """
    folder = folder_of(settings)
    try:
        mode = folder.stat().st_mode
    except OSError:
        return  # it is made when the run begins
    if mode & OPEN_MODE:
        raise ConfigError(
            f"[harvest] folder: expected {folder} to be this user's alone, found mode "
            f"{mode & 0o777:o}; type: chmod 700 {folder}"
        )


class Store:
    """Writes images and their JSON on the thread `edge-harvest`, within the budgets.

    What has been kept is read from the names of the files, so that a restart opens no new day.

    Args:
        folder: It may exist, with what was kept before; else it is made, for this user alone.

    Raises:
        ConfigError: It can't be made.

    Attributes:
        most_bytes: Of all files; the oldest make room.
        per_day: Most images of one day, UTC.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.most_bytes, self.per_day = 0, 0
        self._days: dict[str, int] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"[harvest] folder: {folder} cannot be made: {os.strerror(error.errno or 0)}; "
                "name another"
            ) from error
        for path in folder.glob("*.jpg"):
            day = path.name[:10]
            self._days[day] = self._days.get(day, 0) + 1
        self._waiting: queue.Queue[tuple[str, Any, Any]] = queue.Queue(MOST_WAITING)
        threading.Thread(target=self._run, name=THREAD_NAME, daemon=True).start()

    def has_room(self, captured_utc_ns: int) -> bool:
        """Whether one more image may be kept on that day."""
        return self._days.get(utc_text(captured_utc_ns)[:10], 0) < self.per_day

    def put(self, camera: str, captured_utc_ns: int, what: tuple[Any, dict[str, Any]]) -> None:
        """Have an image `(h, w, 3)` and the fields beside it written; dropped when disks are slow.

        Both are this store's from now on.
        """
        when = utc_text(captured_utc_ns)
        if not self.has_room(captured_utc_ns) or self._waiting.full():
            return
        self._days = {when[:10]: self._days.get(when[:10], 0) + 1}
        self._waiting.put((f"{when.replace(':', '-')}_{camera}", *what))

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that was put is written; return whether it was."""
        until_s = time.monotonic() + timeout_s
        while self._waiting.unfinished_tasks and time.monotonic() < until_s:
            time.sleep(0.01)
        return not self._waiting.unfinished_tasks

    def _run(self) -> None:
        while True:
            name, picture, fields = self._waiting.get()
            try:
                self._write(name, picture, fields)
            except OSError as error:
                log.warning("[harvest] %s: %s", self.folder, os.strerror(error.errno or 0))
            finally:
                self._waiting.task_done()

    def _write(self, name: str, picture: Any, fields: dict[str, Any]) -> None:  # noqa: ANN401
        image = encoded(picture, most_bytes=MOST_IMAGE_BYTES)
        text = json.dumps(fields).encode()
        self._make_room(len(image) + len(text))
        # The JSON first: an image without one would never be explained.
        for suffix, data in ((".json", text), (".jpg", image)):
            part = self.folder / f".{name}{suffix}"
            part.write_bytes(data)
            part.chmod(0o600)
            part.replace(self.folder / f"{name}{suffix}")

    def _make_room(self, more_bytes: int) -> None:
        sizes = {path: path.stat().st_size for path in self.folder.iterdir() if path.is_file()}
        total = sum(sizes.values()) + more_bytes
        for path in sorted(sizes, key=lambda each: each.name.lstrip(".")):
            if total <= self.most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= sizes[path]
