"""Scenes for the self-check's figures: what is clean, what light does to it, and what breaks it.

Severities 1 to 5 of defocus are those of Hendrycks & Dietterich 2019 (ImageNet-C, `defocus_blur`),
whose images are 224 pixels high: radii grow with the frame. The others have none there, and are:
cover 20 40 60 80 100 % of the frame, shift 2 4 8 12 20 % of its width, dark to 50 30 15 8 3 % of
the pixel values. A frozen camera has no severity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.capture.images import load_image
from edge.capture.synthetic import FRAMES_PER_SCENE, SCENES, SCENES_FOLDER, Scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
    Frames = Callable[[float], Image]

VIEW_WH = (320, 180)
# So much more is drawn on each side, for a camera that is moved to see.
MARGIN = 0.2
WHOLE_WH = (round(VIEW_WH[0] * (1 + 2 * MARGIN)), round(VIEW_WH[1] * (1 + 2 * MARGIN)))
DAY_S = 86_400.0
DEFOCUS_RADII, DEFOCUS_SIGMAS, THEIR_HEIGHT = (3, 4, 6, 8, 10), (0.1, 0.5, 0.5, 0.5, 0.5), 224
COVERED, SHIFTED, DARKENED = (
    (0.2, 0.4, 0.6, 0.8, 1.0),
    (0.02, 0.04, 0.08, 0.12, 0.2),
    (0.5, 0.3, 0.15, 0.08, 0.03),
)
NIGHT_LIGHT = 0.3
# Standard deviation of the sensor's noise by day, in pixel values.
NOISE, NOISES = 2.0, 8


@dataclass(frozen=True, slots=True)
class Clean:
    """One clean scene: its frame at each second."""

    name: str
    frames: Frames


def still(path: Path) -> Clean:
    """Return a camera that looks at a photograph."""
    image = _whole(load_image(path))
    return Clean(path.stem, lambda _: image)


def clip(path: Path) -> Clean:
    """Return a video over and over, a frame a second of it."""
    capture = cv2.VideoCapture(str(path))
    step = max(1, round(capture.get(cv2.CAP_PROP_FPS)))
    frames, number = [], 0
    while capture.grab():
        if number % step == 0:
            frames.append(_whole(capture.retrieve()[1]))
        number += 1
    capture.release()
    return Clean(path.stem, lambda at_s: frames[int(at_s) % len(frames)])


def demo() -> Clean:
    """Return the source `demo:`, at a frame a second of its 30: a camera that pans and cuts."""
    scenes = Scenes()
    frames = [np.empty((WHOLE_WH[1], WHOLE_WH[0], 3), np.uint8) for _ in range(36)]
    for number, frame in enumerate(frames):
        scenes.render(number * len(SCENES) * FRAMES_PER_SCENE // len(frames), out=frame)
    return Clean("demo", lambda at_s: frames[int(at_s * 3) % len(frames)])


def repository() -> list[Clean]:
    """Return the scenes of the repository itself."""
    return [*(still(SCENES_FOLDER / name) for name, _, _ in SCENES), demo()]


class Light:
    """What a day, weather and a sensor do to a scene; its numbers come from a seed.

    Args:
        kind: `steady`, `day` (dusk, night and dawn, the camera's gain and noise follow), `infrared`
            (a lamp and a grey picture at night, all at once), `shadows` (sun and clouds), `rain`.
        seed: Of strength and times.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.kind = kind
        self._rng = rng = np.random.default_rng(seed)
        shape = (VIEW_WH[1], VIEW_WH[0], 3)
        self._first = 0
        # A frame's noise is a part of it that hardly ever comes twice.
        noise_shape = (NOISES * shape[0], *shape[1:])
        self._noise = rng.standard_normal(noise_shape, np.float32)
        self._period_s = DAY_S
        self._phase = rng.uniform(0, 1)
        self._steep = rng.uniform(4, 14)  # how fast it gets dark
        self._night = rng.uniform(0.02, 0.5)
        self._cloud_s = rng.uniform(60, 900)
        self._way, self._edge = rng.uniform(0, 2 * math.pi), rng.uniform(20, 80)
        self._warm = rng.uniform(0.85, 1.15, 3)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        self._along = x * math.cos(self._way) + y * math.sin(self._way)
        off = ((x / shape[1] - 0.5) ** 2 + (y / shape[0] - 0.5) ** 2) * rng.uniform(1, 3)
        self._lamp = np.exp(-off)[..., None]

    def shine(self, view: Image, at_s: float) -> Image:
        """Return the view as a sensor has it at that second."""
        factor: NDArray[np.float32] | float = 1.0
        noise = NOISE
        if self.kind in ("day", "infrared"):
            sun = self._steep * math.sin(2 * math.pi * (at_s / self._period_s + self._phase))
            light = 1 / (1 + math.exp(-sun - self._steep / 4))
            is_night = light < NIGHT_LIGHT
            if self.kind == "infrared" and is_night:
                grey = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
                return self._sensed(grey, 0.9 * self._lamp, 2 * NOISE)
            factor = max(self._night if self.kind == "day" else 0.3, light) * self._tint(light)
            noise = NOISE * (1 + 2 * (1 - light))
        elif self.kind == "shadows":
            width = np.abs(self._along).max()
            edge = self._along - width * (2 * (at_s / 20_000 % 1) - 0.5)
            shade = 0.75 + 0.25 / (1 + np.exp(np.clip(-edge / self._edge, -30, 30)))
            cloud = 0.85 + 0.15 * math.tanh(3 * math.sin(2 * math.pi * at_s / self._cloud_s))
            factor = (shade * cloud)[..., None].astype(np.float32)
        elif self.kind == "rain":
            view = self._rained(view, at_s)
        return self._sensed(view, factor, noise)

    def _tint(self, light: float) -> NDArray[np.float32]:
        return (light + (1 - light) * self._warm).astype(np.float32)

    def _rained(self, view: Image, at_s: float) -> Image:
        """Return the view with streaks, more of them as a shower comes and goes."""
        strength = max(0.0, math.sin(2 * math.pi * at_s / 5400))
        out = view.copy()
        for x, y, length in self._rng.integers(0, VIEW_WH[0], (int(300 * strength), 3)):
            end = (int(x) + int(length) // 100, int(y) + 4 + int(length) // 25)
            cv2.line(out, (int(x), int(y)), end, (200, 200, 200), 1)
        return out

    def _sensed(self, view: Image, factor: NDArray[np.float32] | float, noise: float) -> Image:
        # Never twice in a row, or the camera were frozen.
        self._first += 1 + int(self._rng.integers(len(self._noise) - VIEW_WH[1] - 1))
        first = self._first = self._first % (len(self._noise) - VIEW_WH[1])
        seen = view * np.float32(factor) if isinstance(factor, float) else view * factor
        seen += np.float32(noise) * self._noise[first : first + VIEW_WH[1]]
        np.clip(seen, 0, 255, out=seen)
        return seen.astype(np.uint8)


def view_of(whole: Image, *, offset_xy: tuple[float, float] = (0.0, 0.0)) -> Image:
    """Return what the camera sees of a scene, moved by shares of its width."""
    width, height = VIEW_WH
    x = round(width * (MARGIN + offset_xy[0]))
    y = round(height * MARGIN + width * offset_xy[1])
    return whole[y : y + height, x : x + width]


def break_view(fault: str, whole: Image, *, severity: int, seed: int) -> Image:
    """Return what a camera at fault sees of a scene."""
    rng = np.random.default_rng(seed)
    if fault == "moved":
        way = rng.uniform(0, 2 * math.pi)
        ratio = SHIFTED[severity - 1]
        # The picture has less room above than at the sides.
        y = np.clip(ratio * math.sin(way), -0.11, 0.11)
        x = math.copysign(math.sqrt(max(0.0, ratio**2 - y**2)), math.cos(way))
        return view_of(whole, offset_xy=(x, float(y)))
    view = view_of(whole)
    if fault == "blurred":
        return _defocused(view, severity)
    if fault == "dark":
        return (view * DARKENED[severity - 1]).astype(np.uint8)
    return _covered(view, COVERED[severity - 1], rng)


def _defocused(view: Image, severity: int) -> Image:
    ratio = view.shape[0] / THEIR_HEIGHT
    radius = DEFOCUS_RADII[severity - 1] * ratio
    reach = math.ceil(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = ((x**2 + y**2) <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (5, 5), DEFOCUS_SIGMAS[severity - 1])
    return cv2.filter2D(view, -1, kernel)


def _covered(view: Image, ratio: float, rng: np.random.Generator) -> Image:
    """Cover the frame from one side with something plain whose border is out of focus."""
    height, width = view.shape[:2]
    mask = np.zeros((height, width), np.float32)
    side = int(rng.integers(4))
    across, down = round(width * ratio), round(height * ratio)
    rows = {0: slice(0, down), 1: slice(height - down, height)}.get(side, slice(None))
    columns = {2: slice(0, across), 3: slice(width - across, width)}.get(side, slice(None))
    mask[rows, columns] = 1
    mask = cv2.GaussianBlur(mask, (0, 0), 8)[..., None]
    color = rng.uniform(10, 220, 3).astype(np.float32)
    shading = np.linspace(0.9, 1.1, width, dtype=np.float32)[None, :, None]
    return np.clip(view * (1 - mask) + mask * color * shading, 0, 255).astype(np.uint8)


def _whole(image: Image) -> Image:
    """Return an image cropped to the aspect of the scene and scaled to it."""
    height, width = image.shape[:2]
    ratio = min(width / WHOLE_WH[0], height / WHOLE_WH[1])
    w, h = int(WHOLE_WH[0] * ratio), int(WHOLE_WH[1] * ratio)
    x, y = (width - w) // 2, (height - h) // 2
    how = cv2.INTER_AREA if ratio > 1 else cv2.INTER_CUBIC
    return cv2.resize(image[y : y + h, x : x + w], WHOLE_WH, interpolation=how)
