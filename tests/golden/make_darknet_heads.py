"""Write `darknet_heads.npz`: what OpenCV's reader of Darknet models gives for the raw heads.

OpenCV 5 has no such reader, so this needs its own environment; from the root, with the folder of
the development assets as `$EDGE_ASSETS`:

    python -m venv opencv4 && opencv4/bin/pip install 'opencv-python-headless<4.12'
    PYTHONPATH=.:tests opencv4/bin/python tests/golden/make_darknet_heads.py "$EDGE_ASSETS"

The networks written by hand are stored whole, `name/grid`; of the real models, for a real image,
the lowest and highest value and then values at fixed places, `name/grid`.
"""

from __future__ import annotations

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

from converter.importers.darknet.importer import raw_heads
from converter.importers.darknet.network import read_network

GOLDEN = Path(__file__).with_name("darknet_heads.npz")


def main(assets: Path) -> None:
    """Write the file anew."""
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            network = read_network(write_darknet(Path(folder), name))
            weights = network.path.with_suffix(".weights")
            (heads,) = raw_heads(network, weights, random_input(name)[None])
            golden |= {f"{name}/{grid}": head for grid, head in enumerate(heads)}
    image = cv2.imread(str(assets / REAL_IMAGE))[..., ::-1]
    for name, (cfg, weights) in REAL_MODELS.items():
        network = read_network(assets / cfg)
        cropped = crop_input(image, network.size_wh)
        (heads,) = raw_heads(network, assets / weights, cropped[None])
        golden |= {f"{name}/{grid}": sampled(head) for grid, head in enumerate(heads)}
    np.savez_compressed(GOLDEN, **golden)
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes, OpenCV {cv2.__version__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
