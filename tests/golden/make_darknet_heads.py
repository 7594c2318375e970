"""Write `darknet_heads.npz`: what OpenCV's reader of Darknet models gives for the raw heads.

OpenCV 5 has no such reader, so this needs its own environment; from the root, with the folder of
the development assets as `$EDGE_ASSETS`:

    python -m venv opencv4 && opencv4/bin/pip install 'opencv-python-headless<4.12'
    PYTHONPATH=.:tests opencv4/bin/python tests/golden/make_darknet_heads.py "$EDGE_ASSETS"

The networks written by hand are stored whole, `name/grid`; of the real models, for a real image,
the lowest and highest value and then values at fixed places, `name/grid`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from darknet_files import (
    NETWORKS,
    REAL_IMAGE,
    REAL_MODELS,
    crop_input,
    random_input,
    sampled,
    write_darknet,
)

from converter.importers.darknet_network import read_network
from converter.importers.darknet_weights import EPSILON, VERSION

GOLDEN = Path(__file__).with_name("darknet_heads.npz")
# OpenCV's own, also under the root. Source: `setBatchNorm`, modules/dnn/src/darknet/darknet_io.cpp.
OPENCV_EPSILON = 1e-6


def raw_heads(cfg: Path, weights: Path, image: np.ndarray) -> list[np.ndarray]:
    """Return `(H, W, anchors * (5 + classes))` of each head for an `(H, W, 3)` image in [0, 1]."""
    network = read_network(cfg)
    with tempfile.TemporaryDirectory() as folder:
        shifted = Path(folder) / "shifted.weights"
        shutil.copy(weights, shifted)
        shift_variances(shifted, network)
        net = cv2.dnn.readNetFromDarknet(str(cfg), str(shifted))
    net.setInput(image.transpose(2, 0, 1)[None])
    # OpenCV counts layers as the cfg does; the convolution before a head has no normalisation.
    names = [f"conv_{layer.sources[0]}" for layer, _ in network.heads()]
    return [head[0].transpose(1, 2, 0) for head in net.forward(names)]


def shift_variances(path: Path, network) -> None:
    """Add to every variance what Darknet's epsilon has more than OpenCV's."""
    numbers = np.memmap(path, "<f4", "r+", offset=VERSION.size + 8)
    offset = 0
    for convolution in network.convolutions().values():
        filters = convolution.filters
        if convolution.normalized:
            numbers[offset + 3 * filters : offset + 4 * filters] += EPSILON - OPENCV_EPSILON
        offset += convolution.weights()
    numbers.flush()


def main(assets: Path) -> None:
    """Write the file anew."""
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            cfg = write_darknet(Path(folder), name)
            heads = raw_heads(cfg, cfg.with_suffix(".weights"), random_input(name))
            golden |= {f"{name}/{grid}": head for grid, head in enumerate(heads)}
    image = cv2.imread(str(assets / REAL_IMAGE))[..., ::-1]
    for name, (cfg, weights) in REAL_MODELS.items():
        size_wh = read_network(assets / cfg).size_wh
        heads = raw_heads(assets / cfg, assets / weights, crop_input(image, size_wh))
        golden |= {f"{name}/{grid}": sampled(head) for grid, head in enumerate(heads)}
    np.savez_compressed(GOLDEN, **golden)
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes, OpenCV {cv2.__version__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
