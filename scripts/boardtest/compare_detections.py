"""Run the built-in model on the images that come with it, and write what it says as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

import edge
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.model.model_file import read


def main() -> None:
    """Run, and write by image what was detected, and what the model makes of noise alone."""
    model, raw = edge.open_model(), load_model(read(default_model_path()))
    heads, buffer = raw.output_buffers(), raw.input_buffers()[0]
    found = {}
    for path in sorted((Path(edge.__file__).parent / "capture/scenes").glob("*.jpg")):
        # JPEG decoder, resizing, model and decoding are the board's own.
        seen = model(cv2.imread(str(path)))
        noise = np.random.default_rng(len(found)).integers(0, 256, buffer.tensor.shape, np.uint8)
        buffer.tensor[:] = noise.view(buffer.tensor.dtype)
        raw.invoke(buffer, out=heads)
        found[path.name] = {
            "classes": seen.class_ids.tolist(),
            "scores": seen.scores.tolist(),
            "boxes": seen.boxes.ravel().tolist(),
            "heads": [int(value) for head in heads.values() for value in head.ravel()],
        }
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
