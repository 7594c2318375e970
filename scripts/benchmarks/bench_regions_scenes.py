"""Scenes of small objects that move, made of labelled images by a seed; for `bench_regions`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.capture.picture import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SIZES_WH = {"1080p": (1920, 1080), "4K": (3840, 2160)}
PASTED, SCENES, FRAMES, RATE_HZ = 6, 5, 90, 30
# The side of a pasted object, pixels, evenly by its logarithm; that in its image at least.
OBJECT_PX, LEAST_PX = (16, 256), 48
# How much of the image comes with it on each side, in shares of its own.
AROUND = 0.3
NOISE_LEVELS = 3.0


@dataclass(frozen=True, slots=True)
class Pasted:
    """One image of the set on its way through a scene.

    Attributes:
        image: `(h, w, 3)` uint8, B G R.
        boxes: `(N, 4)` float64, xyxy, pixels of the image.
        labels: Of each.
        start: x and y at the first frame.
        step: Pixels a frame.
        rests_after: Frames.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    labels: tuple[Any, ...]
    start: NDArray[np.float64]
    step: NDArray[np.float64]
    rests_after: int

    def named(self, names: dict[int, str]) -> Pasted:
        """Return it with names in the place of categories."""
        return replace(self, labels=tuple(names.get(each, "") for each in self.labels))

    def at(self, frame: int, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Return its x and y on a frame; it turns back at the borders."""
        room = np.array(size_wh) - self.image.shape[1::-1]
        way = (self.start + self.step * min(frame, self.rests_after)) % (2 * room)
        x, y = np.where(way > room, 2 * room - way, way).astype(int)
        return int(x), int(y)


class Scene:
    """A source of frames: a plain ground, and what is pasted on it.

    Attributes:
        drawn_s: Seconds that drawing took the thread.
    """

    live = False

    def __init__(self, ground: NDArray[np.uint8], pasted: list[Pasted], *, frames: int) -> None:
        self._ground = ground
        self._pasted = pasted
        self._frames = frames
        self._next, self.drawn_s = 0, 0.0
        noise = np.random.default_rng(1).normal(0, NOISE_LEVELS, (*ground.shape[:2], 1))
        self._noise = np.repeat(noise.astype(np.int8), 3, axis=2).astype(np.int16)

    def read(self, buffer: NDArray[Any] | None) -> Picture | None:  # noqa: ARG002
        """Return the next frame: `edge.capture.source.Source.read`."""
        if self._next == self._frames:
            return None
        began_ns, began_s, number = time.monotonic_ns(), time.thread_time(), self._next
        self._next += 1
        image = self._ground.copy()
        for each in self._pasted:
            x, y = each.at(number, self.size_wh)
            height, width = each.image.shape[:2]
            image[y : y + height, x : x + width] = each.image
        image = shaken(image, self._noise, number)
        self.drawn_s += time.thread_time() - began_s
        return Picture.taken(image, began_ns, file_ns=round(number * 1e9 / RATE_HZ))

    def rewind(self) -> None:
        """Begin again."""
        self._next, self.drawn_s = 0, 0.0

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self._ground.shape[1], self._ground.shape[0]

    def truth(self, frame: int) -> tuple[NDArray[np.float64], list[str]]:
        """Return the boxes `(N, 4)` and labels of what is on a frame; none of what is covered."""
        boxes, labels = [], []
        for number, each in enumerate(self._pasted):
            placed = each.boxes + np.tile(each.at(frame, self.size_wh), 2)
            for box, label in zip(placed, each.labels, strict=True):
                above = self._pasted[number + 1 :]
                boxes.append(box)
                labels.append("" if any(self._covers(it, box, frame) for it in above) else label)
        return np.array(boxes).reshape(-1, 4), labels

    def _covers(self, other: Pasted, box: NDArray[np.float64], frame: int) -> bool:
        low = np.array(other.at(frame, self.size_wh))
        high = low + other.image.shape[1::-1]
        return bool((np.minimum(high, box[2:]) > np.maximum(low, box[:2])).all())

    def interrupt(self) -> None:
        """Have nothing to wake."""

    close = interrupt


def shaken(image: NDArray[np.uint8], noise: NDArray[np.int16], number: int) -> NDArray[np.uint8]:
    """Return an image with the noise of a frame: the same one, moved."""
    moved = np.roll(noise, (number * 37 % 101, number * 53 % 211), axis=(0, 1))
    return cv2.add(image, moved, dtype=cv2.CV_8U)


def scenes(assets: Path, name: str, chosen_from: set[int]) -> Iterator[Scene]:
    """Yield the scenes of one size, of objects with these ids."""
    folder = assets / "data" / "coco_train178"
    given = json.loads((folder / "instances.json").read_text())
    labels = {row["id"]: row["name"] for row in given["categories"]}
    files = {row["id"]: folder / "images" / row["file_name"] for row in given["images"]}
    rng = np.random.default_rng(len(name))
    known = [row for row in given["annotations"] if row["id"] in chosen_from]
    for _ in range(SCENES):
        pasted = []
        for number, index in enumerate(rng.choice(len(known), PASTED, replace=False)):
            chosen = known[index]
            ratio = np.exp(rng.uniform(*np.log(OBJECT_PX))) / side(chosen)
            near = [row for row in given["annotations"] if row["image_id"] == chosen["image_id"]]
            cut = cut_out(cv2.imread(str(files[chosen["image_id"]])), chosen, near, ratio=ratio)
            pasted.append(
                Pasted(
                    *cut,
                    start=rng.uniform(0, 1, 2) * SIZES_WH[name],
                    step=rng.uniform(-4, 4, 2),
                    rests_after=RATE_HZ if number % 3 == 0 else FRAMES,
                ).named(labels)
            )
        yield Scene(ground(SIZES_WH[name], rng), pasted, frames=FRAMES)


def side(row: dict[str, Any]) -> float:
    """Return the side of a square as large as an annotation's box, pixels."""
    return float(np.sqrt(row["bbox"][2] * row["bbox"][3]))


def cut_out(
    image: NDArray[np.uint8], chosen: dict[str, Any], near: list[dict[str, Any]], *, ratio: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64], tuple[Any, ...]]:
    """Return an object with something around it, shrunk; the boxes in it, and their categories.

    The first is its own. The others have none: finding them is neither right nor wrong.
    """
    corner, sides = np.array(chosen["bbox"][:2]), np.array(chosen["bbox"][2:])
    low = np.maximum(corner - AROUND * sides, 0).astype(int)
    high = np.minimum(corner + (1 + AROUND) * sides, image.shape[1::-1]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    small = cv2.resize(part, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    boxes = np.array([chosen["bbox"], *(row["bbox"] for row in near if row is not chosen)], float)
    boxes[:, 2:] += boxes[:, :2]
    boxes = np.clip(boxes - np.tile(low, 2), 0, np.tile(high - low, 2)) * ratio
    return small, boxes, (chosen["category_id"], *[None] * (len(boxes) - 1))


def ground(size_wh: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return soft patches of grey and brown, in which a detector sees nothing much."""
    coarse = rng.uniform(70, 150, (9, 16, 3)).astype(np.float32)
    return cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
