"""A model file: its bytes, and who the model is, as one of several readers found it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ModelError
from edge.model import structure
from edge.model.declared import Told
from edge.model.readers import manifest as manifests
from edge.model.readers import toml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.model.readers.manifest import Manifest

# A FlatBuffer's file identifier stands at byte 4; "TFL3" in schema.fbs of TensorFlow Lite.
FLATBUFFER_IDENTIFIER = b"TFL3"
MANIFEST, TOML = "manifest", "toml"
EXPORTER, METADATA, INFERENCE = "exporter's metadata", "TFLite Metadata", "inference"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file, read and verified.

    Attributes:
        path: Where it came from, for messages.
        flatbuffer: The model itself, without what was appended.
        description: Who the model is.
        manifest: What else our own manifest says; `None` where another reader described it.
        read_by: What described it: `toml`, `manifest`, or what of the file's own did.
        why: What in the file says so, where the file itself was asked.
    """

    path: Path
    flatbuffer: bytes
    description: Description
    manifest: Manifest | None = None
    read_by: str = MANIFEST
    why: str = ""

    @classmethod
    def of(
        cls,
        path: Path,
        flatbuffer: bytes,
        manifest: Manifest,
        *,
        anchors: NDArray[np.float32] | None = None,
    ) -> ModelFile:
        """Return a file that our own manifest describes."""
        return cls(path, flatbuffer, manifest.description(anchors), manifest)

    def own_manifest(self) -> Manifest:
        """Return the manifest.

        Raises:
            ModelError: It has none, so that nothing says how it was made.
        """
        if self.manifest is None:
            raise ModelError(
                f"{self.path}: expected a model with a manifest, found one described by "
                f"{self.read_by}; make it with: edge-convert run"
            )
        return self.manifest


def _by_toml(path: Path, data: bytes, written: Path | None) -> ModelFile | None:
    if written is None:
        return None
    return ModelFile(path, data, toml.read(written, data), read_by=TOML)


def _by_manifest(path: Path, data: bytes, _: Path | None) -> ModelFile | None:
    # Its name stands twice in a file that has it: one flipped bit must not make a bare model of it.
    if manifests.MANIFEST_MEMBER.encode() not in data:
        return None
    flatbuffer, manifest, anchors = manifests.read(path, data)
    return ModelFile.of(path, flatbuffer, manifest, anchors=anchors)


def _by_itself(path: Path, data: bytes, _: Path | None) -> ModelFile:
    # Imported here: no file of `edge-convert` needs them.
    from edge.model.readers import exporter, inference, metadata  # noqa: PLC0415

    structure.check(data, path)
    told, read_by = exporter.told(path, data), EXPORTER
    if told is None:
        told, read_by = metadata.told(path, data), METADATA
    if told is None:
        told, read_by = Told(), INFERENCE
    description, why = inference.infer(path, data, told)
    return ModelFile(path, data, description, read_by=read_by, why=why)


# Asked in turn, with the path, all of the file, and a TOML that a person wrote of it. Each gives
# the file, or `None` where it was not described its way; the last one says what is missing.
READERS: dict[str, Callable[[Path, bytes, Path | None], ModelFile | None]] = {
    TOML: _by_toml,
    MANIFEST: _by_manifest,
    INFERENCE: _by_itself,
}


def read(path: Path, *, description: Path | None = None) -> ModelFile:
    """Read and verify a model file.

    Args:
        path: A `.tflite`.
        description: A TOML of its description, which then counts instead of what the file says.

    Raises:
        ModelError: Missing, truncated, foreign or damaged.
        Undescribed: Sound, but what it means is nowhere told.
        ConfigError: The TOML cannot be read, or has faults.
    """
    data = _read_bytes(path)
    if data[4:8] != FLATBUFFER_IDENTIFIER:
        raise ModelError(
            f"{path}: expected a TensorFlow Lite model, found {_describe(data)}; "
            "make one with: edge-convert run"
        )
    found = (reader(path, data, description) for reader in READERS.values())
    file = next(filter(None, found))
    structure.check(file.flatbuffer, path)
    return file


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; give the path of a .tflite model") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error


def _describe(data: bytes) -> str:
    if not data:
        return "an empty file"
    known = {b"PK\x03\x04": "a zip archive", b"\x89HDF": "an HDF5 (Keras) file"}
    return known.get(data[:4], f"{len(data)} bytes that begin with {data[:8]!r}")
