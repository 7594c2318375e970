"""The stage `selfcheck`: says of each camera whether it sees as it should, and since when.

Once a second a frame brings a look (`edge.capture.look`); on all others the state stands. It is
taken on once most looks of `hold_s` agree on it, and given up likewise, by the source's clock.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edge.results.observation import Health
from edge.stages.scene import Scene
from edge.stages.world import NOW_S, World

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.config.selfcheck import Selfcheck
    from edge.model.description import Description, Sight
    from edge.results.observation import HealthState, Look, Observation

NS_PER_S = 1e9
# Share of the looks of the hold time that must agree, and of how many at least.
AGREED, LEAST_LOOKS = 0.8, 5
# A look that comes later after the last one than this tells little of what was between.
LONGEST_STEP_S = 60.0
# Worlds change slowly, and to count heads takes as long as half a look.
WORLD_EVERY_S = 10.0
# A new place or world that has been told for a day is the usual one.
ACCEPTED_S = 86_400.0
# Share by which the aspect of a picture of the same view may differ, for rounding.
SAME_ASPECT = 0.02
CLIPPED_MORE = 0.25
# Less colour than this, and it is the picture of an infrared lamp, or a grey camera's.
GREY_COLOUR, LEAST_LEVEL = 6.0, 40.0


class SelfCheck:
    """Gives each observation the health of its camera.

    What is known of `cameras` goes on from stage to stage, but for what another model saw.
    """

    name = "selfcheck"

    def __init__(
        self, settings: Selfcheck, description: Description, cameras: dict[str, CameraHealth]
    ) -> None:
        self._settings, self._description, self._cameras = settings, description, cameras
        for camera in cameras.values():
            if camera.model != description.digest:
                camera.model, camera.sight = description.digest, description.sight
                camera.worlds = {}

    def process(self, observation: Observation) -> Observation:
        """Return the observation with its camera's health."""
        camera = self._cameras.get(observation.camera)
        if camera is None or camera.is_other(observation):
            camera = self._cameras[observation.camera] = CameraHealth(
                Health("ok", "", observation.captured_utc_ns),
                self._description.digest,
                self._description.sight,
            )
        camera.sequence, camera.size_wh = observation.sequence, observation.size_wh
        if observation.look:
            camera.see(observation.look, observation, self._settings)
        camera.compare(observation)
        return replace(observation, health=camera.health)


@dataclass(slots=True)
class CameraHealth:
    """What is known of one camera.

    Attributes:
        health: That is told.
        model: Digest of the one that sees.
        sight: What its calibration images looked like; `None` where it does not tell.
        worlds: What the model usually sees: in grey (`True`), and in colour.
        recent: Of the last looks: when, by the source's clock and UTC, and what was wrong.
        sequence: Of its last frame, as is `size_wh`.
    """

    health: Health
    model: str
    sight: Sight | None
    scene: Scene = field(default_factory=Scene)
    worlds: dict[bool, World] = field(default_factory=dict)
    recent: deque[tuple[float, int, HealthState, str]] = field(default_factory=deque)
    sequence: int = 0
    size_wh: tuple[int, int] = (1, 1)
    _clipped_ratio: float = 0.0
    _world: World | None = None  # that heads are to be compared with, by the last look
    _compared_s: float = -math.inf
    _told_s: float = 0.0

    def is_other(self, seen: Observation) -> bool:
        """Whether a frame is of another camera of this name, opened anew, or of another view."""
        (width, height), (wide, high) = self.size_wh, seen.size_wh
        is_anew = seen.sequence < self.sequence
        return is_anew or abs(width * high / (wide * height) - 1) > SAME_ASPECT

    def see(self, look: Look, seen: Observation, settings: Selfcheck) -> None:
        """Take in a look, and change the health where enough of them say so."""
        now_s = seen.source_ns / NS_PER_S
        last_s = self.recent[-1][0] if self.recent else now_s
        # A file that begins again goes on a step later.
        elapsed_s = min(now_s - last_s, LONGEST_STEP_S) if now_s > last_s else 1.0
        if now_s < last_s:
            self.recent.clear()
        state, reason = self._judge(look, elapsed_s, ignore=settings.ignore)
        self.recent.append((now_s, seen.captured_utc_ns, state, reason))
        while len(self.recent) > LEAST_LOOKS and now_s - self.recent[1][0] >= settings.hold_s:
            self.recent.popleft()
        self._told_s += elapsed_s
        self._settle(settings.hold_s)

    def compare(self, seen: Observation) -> None:
        """Take in heads now and then; those of `[regions]` need not come with a look."""
        now_s = seen.source_ns / NS_PER_S
        if self._world and seen.heads and not 0 <= now_s - self._compared_s < WORLD_EVERY_S:
            self._world.judge(seen.heads, WORLD_EVERY_S)
            self._compared_s = now_s

    def _judge(
        self, look: Look, elapsed_s: float, *, ignore: Collection[str]
    ) -> tuple[HealthState, str]:
        self._world = None
        if look.is_frozen and "frozen" not in ignore:
            return "frozen", "the camera gives the same picture over and over"
        if trouble := self.scene.see(look, elapsed_s, ignore=ignore):
            return trouble
        strange = self._strangeness(look, elapsed_s)
        is_told = strange and "strange" not in ignore
        return ("strange", strange) if is_told else ("ok", "")

    def _strangeness(self, look: Look, elapsed_s: float) -> str:
        """Return what is strange. A grey picture is compared with this camera's grey ones only."""
        if look.level < LEAST_LEVEL:
            return ""
        is_grey = look.colour < GREY_COLOUR
        if is_grey not in self.worlds:
            self.worlds[is_grey] = World.of(None if is_grey else self.sight)
        self._world = world = self.worlds[is_grey]
        gap = look.clipped_ratio - self._clipped_ratio
        self._clipped_ratio -= math.expm1(-elapsed_s / NOW_S) * gap
        clipped, most = self._clipped_ratio, self.sight.clipped_ratio if self.sight else 1.0
        if world.told or is_grey or clipped <= most + CLIPPED_MORE:
            return world.told
        return f"{clipped:.0%} of the picture is black or white, at most {most:.0%} is usual"

    def _settle(self, hold_s: float) -> None:
        now_s, now_utc_ns, state, reason = self.recent[-1]
        is_long = len(self.recent) >= LEAST_LOOKS and now_s - self.recent[0][0] >= hold_s
        if state != "frozen" and not is_long:  # what is frozen the capture has held
            return
        if state != self.health.state:
            since_utc_ns = [look[1] for look in self.recent if look[2] == state]
            if state == "frozen" or len(since_utc_ns) >= AGREED * len(self.recent):
                self.health = Health(state, reason, since_utc_ns[0])
                self._told_s = 0.0
        elif self.health.state in ("moved", "strange") and self._told_s >= ACCEPTED_S:
            if self.health.state == "moved":
                self.scene = Scene()
            else:
                self.worlds, self.sight = {grey: World() for grey in self.worlds}, None
            self.recent.clear()
            self.health = Health("ok", "what was new a day ago is taken for usual", now_utc_ns)
