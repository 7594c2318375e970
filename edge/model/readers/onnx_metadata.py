"""Our manifest in the metadata of an ONNX file: `manifest.json`, and anchors in Base64."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from edge.errors import ModelError
from edge.model import onnx_file
from edge.model.readers import manifest as manifests
from edge.model.readers.anchors import anchors_from_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.readers.manifest import Manifest


def read(path: Path, data: bytes) -> tuple[bytes, Manifest, NDArray[np.float32] | None]:
    """Read and verify an ONNX file; return the model without metadata, manifest and anchors.

    Raises:
        ModelError: Damaged, or without a manifest.
    """
    model, entries = onnx_file.split(data, path)
    text = entries.get(manifests.MANIFEST_MEMBER)
    if text is None:
        raise ModelError(
            f"{path}: expected a manifest in the metadata, found none; make the file with: "
            "edge-convert export FLOAT.tflite --tensorrt, or describe it: [model] description"
        )
    try:
        manifest = manifests.parse(path, text.encode())
        stored = entries.get(manifests.ANCHORS_MEMBER)
        anchors = anchors_from_bytes(base64.b64decode(stored, validate=True)) if stored else None
    except (binascii.Error, ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: its metadata cannot be read: {error}; copy it again") from error
    manifests.check_digest(path, model, manifest)
    return model, manifest, anchors
