"""The stage `selfcheck`: says of each camera whether it sees as it should, and since when.

Once a second a frame brings a look (`edge.capture.look`); on all others the state stands. It is
taken on once most looks of `hold_s` agree on it, and given up likewise, by the source's clock.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edge.results.health import Health
from edge.stages.scene import Scene, Traits
from edge.stages.world import LEAST_LEVEL, NOW_S, World, is_grey, overexposed

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.config.selfcheck import Selfcheck
    from edge.model.description import Description, Sight
    from edge.results.health import HealthState, Look
    from edge.results.observation import Observation

NS_PER_S = 1e9
# Share of the looks of the hold time that must agree, and of how many at least.
AGREED, LEAST_LOOKS = 0.8, 5
MOST_LOOKS = 3600
# A look that comes later after the last one than this tells little of what was between.
LONGEST_STEP_S = 60.0
# Nor do heads that come so long after the last ones.
LONGEST_GAP_S = 10.0
# A new place or world that has been told for a day is the usual one.
ACCEPTED_S = 86_400.0
ACCEPTED = ("moved", "strange")


class SelfCheck:
    """Gives each observation the health of its camera.

    Args:
        settings: Of the configuration.
        description: Of the model.
        cameras: What is known of each; that of a stage before this one goes on, but for what
            another model saw.
    """

    name = "selfcheck"

    def __init__(
        self, settings: Selfcheck, description: Description, cameras: dict[str, CameraHealth]
    ) -> None:
        self._settings = settings
        self._description = description
        self._cameras = cameras
        for camera in cameras.values():
            if camera.model != description.digest:
                camera.model, camera.sight, camera.worlds = (
                    description.digest,
                    description.sight,
                    {},
                )

    def process(self, observation: Observation) -> Observation:
        """Return the observation with its camera's health."""
        camera = self._cameras.get(observation.camera)
        if camera is None:
            camera = self._cameras[observation.camera] = CameraHealth(
                Health("ok", "", observation.captured_utc_ns),
                self._description.digest,
                self._description.sight,
            )
        if observation.look:
            camera.see(observation.look, observation, self._settings)
        elif observation.heads:
            camera.compare(observation)
        return replace(observation, health=camera.health)


@dataclass(slots=True)
class CameraHealth:
    """What is known of one camera.

    Attributes:
        health: That is told.
        model: Digest of the one that sees.
        sight: What its calibration images looked like; `None` where it does not tell.
        scene: Its usual look.
        worlds: What the model usually sees: in grey, and in colour.
        recent: Of the last looks: when, by the source's clock and UTC, and what was wrong.
    """

    health: Health
    model: str
    sight: Sight | None
    scene: Scene = field(default_factory=Scene)
    worlds: dict[bool, World] = field(default_factory=dict)
    recent: deque[tuple[float, int, HealthState, str]] = field(
        default_factory=lambda: deque(maxlen=MOST_LOOKS)
    )
    _clipped_ratio: float = 0.0
    _told_s: float = 0.0
    _world: World | None = None  # that heads are to be compared with, by the last look
    _compared_s: float = 0.0

    def see(self, look: Look, seen: Observation, settings: Selfcheck) -> None:
        """Take in a look, and change the health where enough of them say so."""
        now_s = seen.source_ns / NS_PER_S
        last_s = self.recent[-1][0] if self.recent else now_s
        # A file that begins again goes on a step later.
        elapsed_s = min(now_s - last_s, LONGEST_STEP_S) if now_s > last_s else 1.0
        if now_s < last_s:
            self.recent.clear()
        state, reason = self._judge(look, seen, elapsed_s, ignore=settings.ignore)
        self.recent.append((now_s, seen.captured_utc_ns, state, reason))
        while len(self.recent) > LEAST_LOOKS and now_s - self.recent[1][0] >= settings.hold_s:
            self.recent.popleft()
        self._told_s += elapsed_s
        self._settle(settings.hold_s)

    def compare(self, seen: Observation) -> None:
        """Take in heads that come between two looks, as those of `[regions]` do; one a second."""
        elapsed_s = seen.source_ns / NS_PER_S - self._compared_s
        if self._world and not 0 <= elapsed_s < 1:
            self._take(self._world, seen, min(max(1.0, elapsed_s), LONGEST_GAP_S))

    def _take(self, world: World, seen: Observation, elapsed_s: float) -> None:
        world.strange = world.judge(seen.heads, elapsed_s)
        self._compared_s = seen.source_ns / NS_PER_S

    def _judge(
        self, look: Look, seen: Observation, elapsed_s: float, *, ignore: Collection[str]
    ) -> tuple[HealthState, str]:
        self._world = None
        if look.is_frozen and "frozen" not in ignore:
            return "frozen", "the camera gives the same picture over and over"
        traits = Traits.of(look)
        trouble = self.scene.judge(traits, ignore=ignore)
        if trouble is None:
            self.scene.follow(traits, elapsed_s)
            strange = self._strangeness(look, seen, elapsed_s)
            trouble = ("strange", strange) if strange and "strange" not in ignore else None
        return trouble or ("ok", "")

    def _strangeness(self, look: Look, seen: Observation, elapsed_s: float) -> str:
        """Return what is strange. A grey picture is compared with this camera's grey ones only."""
        if look.level < LEAST_LEVEL:
            return ""
        grey = is_grey(look)
        if grey not in self.worlds:
            self.worlds[grey] = World.of(None if grey else self.sight)
        self._world = world = self.worlds[grey]
        weight = -math.expm1(-elapsed_s / NOW_S)
        self._clipped_ratio += weight * (look.clipped_ratio - self._clipped_ratio)
        clipped = "" if grey else overexposed(self._clipped_ratio, self.sight)
        if seen.heads:
            self._take(world, seen, elapsed_s)
        return world.strange or clipped

    def _settle(self, hold_s: float) -> None:
        long_s = self.recent[-1][0] - self.recent[0][0]
        ((state, count),) = Counter(look[2] for look in self.recent).most_common(1)
        if self.recent[-1][2] == "frozen":  # the capture has held it
            state, count = "frozen", len(self.recent)
        elif len(self.recent) < LEAST_LOOKS or long_s < hold_s:
            return
        if state != self.health.state and count >= AGREED * len(self.recent):
            of_it = [look for look in self.recent if look[2] == state]
            self.health = Health(state, of_it[-1][3], of_it[0][1])
            self._told_s = 0.0
        elif self.health.state in ACCEPTED and self._told_s >= ACCEPTED_S:
            self._accept(self.recent[-1][1])

    def _accept(self, now_utc_ns: int) -> None:
        """Take what is new for usual."""
        if self.health.state == "moved":
            self.scene = Scene()
        else:
            self.worlds = {grey: World() for grey in self.worlds}
            self.sight = None
        self.recent.clear()
        self.health = Health("ok", "what was new a day ago is taken for usual", now_utc_ns)
