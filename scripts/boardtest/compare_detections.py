"""Run the built-in model on the images that come with it, and write what it says as JSON.

Run on a board's Python: compare_detections.py FILE.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

import edge
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.model.model_file import read


def main() -> None:
    """Run, and write."""
    model, raw = edge.open_model(), load_model(read(default_model_path()))
    heads, buffer = raw.output_buffers(), raw.input_buffers()[0]
    found = {}
    for number, item in enumerate(
        sorted(files("edge.capture.scenes").iterdir(), key=lambda each: each.name)
    ):
        if not item.name.endswith(".jpg"):
            continue
        # Through the board's own JPEG decoder, resizing, model and decoding.
        seen = model(cv2.imdecode(np.frombuffer(item.read_bytes(), np.uint8), cv2.IMREAD_COLOR))
        # And the same numbers into the model alone.
        buffer.tensor[:] = (
            np.random.default_rng(number)
            .integers(-128, 128, buffer.tensor.shape)
            .astype(buffer.tensor.dtype)
        )
        raw.invoke(buffer, out=heads)
        found[item.name] = {
            "scores": np.asarray(seen.scores).tolist(), "boxes": np.asarray(seen.boxes).tolist(),
            "classes": np.asarray(seen.class_ids).tolist(),
            "heads": {name: np.asarray(values).ravel().astype(int).tolist() for name, values in heads.items()},
        }  # fmt: skip
    Path(sys.argv[1]).write_text(
        json.dumps(
            {"machine": platform.machine(), "python": platform.python_version(), "images": found}
        )
    )


if __name__ == "__main__":
    main()
