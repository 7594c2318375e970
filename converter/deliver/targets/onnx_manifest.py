"""The manifest in an ONNX file: as metadata, where every ONNX reader leaves it alone."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.deliver.targets.onnx_writer import onnx_module
from edge.errors import ModelError
from edge.model.readers.manifest import (
    ANCHORS_MEMBER,
    MANIFEST_MEMBER,
    Manifest,
    anchors_from_bytes,
    anchors_to_bytes,
    digest_of,
)
from edge.record import read

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX model with its manifest.

    Attributes:
        model: Bytes of the model without the manifest, as the digest counts them.
        anchors: `(A, 4)` float32; `None` for heads without.
    """

    path: Path
    model: bytes
    manifest: Manifest
    anchors: NDArray[np.float32] | None


def with_manifest(model: Any, manifest: Manifest, anchors: NDArray[np.float32] | None) -> bytes:  # noqa: ANN401
    """Return the bytes of a `ModelProto` with a manifest, its digest that of the model without."""
    digest = digest_of(model.SerializeToString(deterministic=True))
    sealed = manifest.replace(digest=digest)
    text = json.dumps(sealed.plain(), ensure_ascii=False)
    described = type(model)()
    described.CopyFrom(model)
    described.metadata_props.add(key=MANIFEST_MEMBER, value=text)
    if anchors is not None:
        stored = base64.b64encode(anchors_to_bytes(anchors)).decode()
        described.metadata_props.add(key=ANCHORS_MEMBER, value=stored)
    return bytes(described.SerializeToString(deterministic=True))


def read_onnx_manifest(path: Path) -> OnnxFile:
    """Read and verify an ONNX file of ours.

    Raises:
        ModelError: It is missing, damaged, or has no manifest.
        DependencyError: `onnx` is not installed.
    """
    onnx = onnx_module()
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with onnx

    try:
        model = onnx.load_model_from_string(path.read_bytes())
        found = {entry.key: entry.value for entry in model.metadata_props}
        manifest = read(Manifest, json.loads(found[MANIFEST_MEMBER]))
        anchors = _anchors(found)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (DecodeError, KeyError, ValueError, binascii.Error) as error:
        raise ModelError(
            f"{path}: expected an ONNX file with a manifest, found none that can be read; "
            "make it with: edge-convert export MODEL --tensorrt"
        ) from error
    del model.metadata_props[:]
    bare = bytes(model.SerializeToString(deterministic=True))
    if digest_of(bare) != manifest.digest:
        raise ModelError(
            f"{path}: the model is damaged: expected {manifest.digest[:19]}…, "
            f"found {digest_of(bare)[:19]}…; copy the file again"
        )
    return OnnxFile(path, bare, manifest, anchors)


def _anchors(found: dict[str, str]) -> NDArray[np.float32] | None:
    stored = found.get(ANCHORS_MEMBER)
    return None if stored is None else anchors_from_bytes(base64.b64decode(stored, validate=True))
