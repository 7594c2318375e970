"""Write `demo_frames.json`: what frames of the built-in source must be. Run it from the root.

For each frame: the SHA-256 of its bytes, and the mean of each cell of a grid over its green
channel, which another build's decoder may move by a level or two and a wrong view by dozens.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from edge.capture.synthetic import FRAMES_PER_SCENE, SCENES, Scenes

GOLDEN = Path(__file__).with_name("demo_frames.json")
SIZES_WH = ((1280, 720), (300, 400))
FRAMES = (0, 1, 60, 119, 120, 200, 240, 359)
GRID_WH = (5, 4)


def describe(image: np.ndarray) -> dict[str, object]:
    """Return digest and cell means, rows first, of a `(H, W, 3)` image."""
    columns, rows = GRID_WH
    cells = [np.array_split(band, columns, axis=1) for band in np.array_split(image, rows, axis=0)]
    return {
        "sha256": hashlib.sha256(image).hexdigest(),
        "means": [[round(float(cell[..., 1].mean()), 1) for cell in row] for row in cells],
    }


def render(scenes: Scenes, index: int, size_wh: tuple[int, int]) -> np.ndarray:
    """Return one frame, new."""
    image = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
    scenes.render(index, out=image)
    return image


def main() -> None:
    """Write the file anew."""
    golden: dict[str, dict[str, object]] = {}
    scenes = Scenes()
    for size_wh in SIZES_WH:
        for index in FRAMES:
            name = f"{size_wh[0]}x{size_wh[1]} frame {index}"
            golden[name] = describe(render(scenes, index, size_wh))
    assert max(FRAMES) < FRAMES_PER_SCENE * len(SCENES)
    rows = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in golden.items())
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
