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
    """Write by image what was detected, and the raw heads of the image and of noise.

    OpenCV resizes linearly by other code on arm64: a third of the pixels are another by one. Images
    are therefore brought to the model's size by its exact way first; `unsized` is without that.
    """
    model, raw = edge.open_model(), load_model(read(default_model_path()))
    heads, buffer = raw.output_buffers(), raw.input_buffers()[0]
    size_wh = buffer.tensor.shape[2:0:-1]
    found = {}
    for path in sorted((Path(edge.__file__).parent / "capture/scenes").glob("*.jpg")):
        # JPEG decoder, model and decoding are the board's own.
        image = cv2.imread(str(path))
        sized = cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR_EXACT)
        values = []
        noise = np.random.default_rng(len(found)).integers(0, 256, sized.shape, np.uint8)
        for pixels in (sized, noise):
            buffer.fill(pixels)
            raw.invoke(buffer, out=heads)
            values += [int(value) for head in heads.values() for value in head.ravel()]
        found[path.name] = {"heads": values}
        for suffix, picture in (("", sized), ("_unsized", image)):
            seen = model(picture)
            found[path.name] |= {
                f"classes{suffix}": seen.class_ids.tolist(),
                f"scores{suffix}": seen.scores.tolist(),
                f"boxes{suffix}": seen.boxes.ravel().tolist(),
            }
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
