"""Count what the self-check reports of broken cameras, and its false alarms over long clean days.

Takes some 20 minutes on two cores. Limits were chosen on the `development` set with seed 0; the
`held-out` set has other photographs and is run with other seeds.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import selfcheck_scenes as scenes

from edge.capture.look import Looker
from edge.capture.picture import Picture
from edge.capture.reopening import Stillness
from edge.config.selfcheck import Selfcheck
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.model.model_file import read
from edge.preprocess import use_one_thread
from edge.results.detections import Detections
from edge.results.observation import Observation
from edge.stages.selfcheck import CameraHealth, SelfCheck

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results.observation import Health

NS = 1_000_000_000
LEARN_S, REPORT_S = 300, 60
FAULTS, SEVERITIES = ("covered", "moved", "blurred", "dark"), (3, 4, 5)
# The model is asked of one look a minute; of the others the last answer stands.
INVOKE_EVERY_S = 60
# Long days are seen in time-lapse.
STEP_S = 15
SHOWN = 3
UNKNOWN = replace(read(default_model_path()).description, sight=None)
LIGHTS = ("steady", "day", "infrared", "shadows", "rain")


class Camera:
    """One camera whose looks go to a self-check, a second each."""

    def __init__(self, model: object | None = None) -> None:
        self.now_s = 0
        self.states: Counter[str] = Counter()
        self.alarms: list[tuple[int, str, str]] = []
        self._model = model
        self._memory: dict[str, CameraHealth] = {}
        described = model.description if model else UNKNOWN
        self._stage = SelfCheck(Selfcheck(), described, self._memory)
        self._still = Stillness()
        self._looker = Looker()
        self._heads = model.output_buffers() if model else {}
        self._buffer = model.input_buffer() if model else None
        self._health: Health | None = None

    def see(self, image: NDArray, *, seconds: int = 1) -> str:
        """Take in a picture so much later, and return the state that is told."""
        at_ns = self.now_s * NS
        picture = Picture(image, at_ns, at_ns, 0)
        look = replace(self._looker.at(picture), is_frozen=self._still.look(picture))
        if self._model and self.now_s % INVOKE_EVERY_S == 0:
            self._buffer.fill(image)
            self._model.invoke(self._buffer, out=self._heads)
        seen = Observation(
            camera="camera", sequence=self.now_s, captured_utc_ns=at_ns, source_ns=at_ns,
            size_wh=picture.size_wh, result=Detections.none(), stage_ms={}, age_ms=0,
            dropped_frames=0, look=look, heads=self._heads,
        )  # fmt: skip
        health = self._stage.process(seen).health
        if self._health and health.state not in (self._health.state, "ok"):
            self.alarms.append((self.now_s, health.state, health.reason))
        self._health = health
        self.now_s += seconds
        self.states[health.state] += 1
        return health.state


def detected(found: list[scenes.Clean], *, seed: int) -> dict[tuple[str, int], list[str]]:
    """Return what was told within a minute of each fault and severity, a text for each trial."""
    told: dict[tuple[str, int], list[str]] = {}
    for number, scene in enumerate(found):
        light = scenes.Light(("steady", "shadows")[number % 2], seed + number)
        camera = Camera()
        for at_s in range(LEARN_S):
            camera.see(light.shine(scenes.view_of(scene.frames(at_s)), at_s))
        for fault in FAULTS:
            for severity in SEVERITIES:
                key = fault, severity
                trial = copy.deepcopy(camera), copy.deepcopy(light)
                told.setdefault(key, []).append(
                    _trial(*trial, scene, (fault, severity, seed + number))
                )
        trial = copy.deepcopy(camera), copy.deepcopy(light)
        told.setdefault(("frozen", 3), []).append(_trial(*trial, scene, ("frozen", 3, seed)))
    return told


def _trial(
    camera: Camera, light: scenes.Light, scene: scenes.Clean, fault: tuple[str, int, int]
) -> str:
    kind, severity, seed = fault
    last = light.shine(scenes.view_of(scene.frames(LEARN_S)), LEARN_S)
    if camera.see(last) != "ok":
        return "alarm before"
    for at_s in range(LEARN_S + 1, LEARN_S + REPORT_S):
        if kind != "frozen":
            whole = scene.frames(at_s)
            broken = scenes.break_view(kind, whole, severity=severity, seed=seed)
            last = light.shine(broken, at_s)
        if (state := camera.see(last)) != "ok":
            return state
    return "nothing"


def false_alarms(
    scene: scenes.Clean, kind: str, *, hours: float, seed: int, model: object | None
) -> Camera:
    """Return a camera that saw a clean scene for so long."""
    camera, light = Camera(model), scenes.Light(kind, seed)
    for at_s in range(0, round(hours * 3600), STEP_S):
        camera.see(light.shine(scenes.view_of(scene.frames(at_s)), at_s), seconds=STEP_S)
    return camera


def sets(name: str, assets: Path) -> tuple[list[scenes.Clean], list[scenes.Clean]]:
    """Return the scenes to break, and the clean ones to watch for long."""
    clips = sorted((assets / "video").glob("*.mp4"))
    photos = sorted((assets / "data" / "coco_train178" / "images").glob("*.jpg"))
    if name == "development":
        found = [*scenes.repository(), *map(scenes.clip, clips)]
        still = [scene for scene in found if scene.name != "demo"]
        return [*still, *map(scenes.still, photos[::8])], found
    held = [scenes.still(path) for path in photos[2::8]]
    if not held:
        raise SystemExit(f"{assets}: expected COCO images for the held-out set; see --assets")
    return held, held[::8]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="scripts/bench --selfcheck", description=__doc__)
    parser.add_argument("--set", default="development", choices=("development", "held-out"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hours", type=float, default=24.0, help="of each clean scene and light")
    parser.add_argument("--assets", type=Path, default=Path("../shared/assets"))
    parser.add_argument("--scene", help="only clean scenes whose name holds this")
    parser.add_argument("--only", choices=("faults", "clean"))
    parser.add_argument("--model", action="store_true", help="judge what the model sees as well")
    arguments = parser.parse_args()
    use_one_thread()
    started_s = time.monotonic()
    broken, clean = sets(arguments.set, arguments.assets)
    if arguments.only != "clean":
        _print_faults(detected(broken, seed=arguments.seed), len(broken))
    if arguments.only != "faults":
        _print_clean([each for each in clean if (arguments.scene or "") in each.name], arguments)
    print(f"took {time.monotonic() - started_s:.0f} s")


def _print_faults(told: dict[tuple[str, int], list[str]], count: int) -> None:
    print(f"| fault | severity | told within {REPORT_S} s, of {count} | by its name | else |")
    print("|---|---|---|---|---|")
    good = trials = 0
    for (fault, severity), states in told.items():
        missed = [state for state in states if state in ("nothing", "alarm before")]
        good, trials = good + len(states) - len(missed), trials + len(states)
        others = Counter(state for state in states if state != fault)
        print(
            f"| {fault} | {severity} | {len(states) - len(missed)} | {states.count(fault)} "
            f"| {dict(others) or ''} |"
        )
    print(f"told in all: {good} of {trials}, {good / trials:.1%}")


def _print_clean(clean: list[scenes.Clean], arguments: argparse.Namespace) -> None:
    model = load_model(read(default_model_path())) if arguments.model else None
    print("| clean scene | light | hours | false alarms |")
    print("|---|---|---|---|")
    alarms = hours = 0.0
    for number, scene in enumerate(clean):
        for kind in LIGHTS:
            seed = arguments.seed * 1000 + number
            camera = false_alarms(scene, kind, hours=arguments.hours, seed=seed, model=model)
            alarms, hours = alarms + len(camera.alarms), hours + arguments.hours
            shown = "; ".join(f"{at} s {state}: {why}" for at, state, why in camera.alarms[:SHOWN])
            detail = f"{len(camera.alarms)}: {shown}" if shown else "0"
            print(f"| {scene.name} | {kind} | {arguments.hours:g} | {detail} |", flush=True)
    print(f"false alarms in all: {alarms:g} in {hours:g} h of stream time")


if __name__ == "__main__":
    main()
