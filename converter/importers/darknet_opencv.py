"""Compare an import with OpenCV's own reader of Darknet files, where OpenCV still has one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from converter import import_check
from converter.importers.darknet_graph import head_columns
from converter.importers.darknet_weights import EPSILON, header_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.importers.darknet_layers import Network

# OpenCV's own, also under the root. Source: `setBatchNorm`, modules/dnn/src/darknet/darknet_io.cpp.
OPENCV_EPSILON = 1e-6


def checked(flatbuffer: bytes, network: Network, weights: Path) -> str:
    """Return a clause for the manifest: how far from OpenCV's heads the model's are, or why not.

    Raises:
        ModelError: They are other heads.
    """
    name = f"OpenCV {cv2.__version__}"
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        return f"import not checked, as {name} reads no Darknet files (OpenCV before 5 does)"
    images = import_check.noise((1, *network.input_shape))
    try:
        heads = [raw_heads(network, weights, image) for image in images]
    except cv2.error:
        return f"import not checked, as {name} does not read this network"
    expected = {
        role: np.stack([found[number][..., columns] for found in heads])
        for number, (_, head) in enumerate(network.heads())
        for role, columns in head_columns(head, number).items()
    }
    ratio = import_check.error_ratio(flatbuffer, images, expected, path=network.path)
    return import_check.in_words(ratio, name)


def raw_heads(
    network: Network, weights: Path, image: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return `(H, W, anchors * (5 + classes))` of each head for an `(H, W, C)` image."""
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
        shifted = Path(folder) / "shifted.weights"
        shutil.copy(weights, shifted)
        _shift_variances_inplace(shifted, network)
        read: Any = cv2.dnn.readNetFromDarknet  # type: ignore[attr-defined,unused-ignore]
        net = read(str(network.path), str(shifted))
    net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    # OpenCV counts layers as the cfg does; the convolution before a head has no normalisation.
    names = [f"conv_{layer.sources[0]}" for layer, _ in network.heads()]
    return [head[0].transpose(1, 2, 0) for head in net.forward(names)]


def _shift_variances_inplace(path: Path, network: Network) -> None:
    """Add to every variance what Darknet's epsilon has more than OpenCV's."""
    numbers = np.memmap(path, "<f4", "r+", offset=header_bytes(path))
    offset = 0
    for convolution in network.convolutions().values():
        filters = convolution.filters
        if convolution.normalized:
            numbers[offset + 3 * filters : offset + 4 * filters] += EPSILON - OPENCV_EPSILON
        offset += convolution.weights()
    numbers.flush()
