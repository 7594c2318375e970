"""A model file: its bytes, and who the model is, as one of several readers found it."""

from __future__ import annotations

import importlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ModelError
from edge.model.readers import manifest as manifests
from edge.model.readers import toml
from edge.model.readers.anchors import anchors_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.model.readers.manifest import Manifest

log = logging.getLogger("edge")
# A FlatBuffer's file identifier stands at byte 4; "TFL3" in schema.fbs of TensorFlow Lite.
FLATBUFFER_IDENTIFIER = b"TFL3"
MANIFEST, TOML, INFERENCE = "manifest", "toml", "inference"
TFLITE, ONNX, HEF, RPK = "tflite", "onnx", "hef", "rpk"
# Whose `check` refuses a model of this format that is damaged or hostile, and copies nothing;
# imported for a file of it.
FORMATS = {
    TFLITE: "edge.model.structure",
    ONNX: "edge.model.onnx_file",
    HEF: "edge.model.chip_files",
    RPK: "edge.model.chip_files",
}
# Of ONNX it is field 1, `ir_version`, a varint: what every writer begins with.
FIRST_BYTES = {b"\x01HEF": HEF, b"9464": RPK, b"\x08": ONNX}


def format_of(data: bytes) -> str:
    """Return what a file begins like, a key of `FORMATS`; empty for none."""
    if data[4:8] == FLATBUFFER_IDENTIFIER:
        return TFLITE
    return next((kind for first, kind in FIRST_BYTES.items() if data.startswith(first)), "")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file, read and verified.

    Attributes:
        path: Where it came from, for messages.
        flatbuffer: The model itself, a FlatBuffer or an ONNX model, without what was appended to it
            or stored in its metadata.
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

    @property
    def origin(self) -> str:
        """What described it, in words."""
        return f"{self.read_by}: {self.why}" if self.why else self.read_by

    @property
    def format(self) -> str:
        """What the model is written in, a key of `FORMATS`."""
        return format_of(self.flatbuffer) or TFLITE

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
            raise _without_manifest(self.path, f"one described by {self.read_by}")
        return self.manifest


def _by_toml(path: Path, data: bytes, written: Path | None) -> ModelFile | None:
    if written is None:
        return None
    model, _ = _split(path, data)
    return ModelFile(path, model, toml.read(written, model), read_by=TOML)


def _split(path: Path, data: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the model, and the metadata that an ONNX file has beside it."""
    if format_of(data) != ONNX:
        return data, {}
    from edge.model import onnx_file  # noqa: PLC0415 - a `.tflite` does not need it

    return onnx_file.split(data, path)


def _check(path: Path, model: bytes) -> None:
    importlib.import_module(FORMATS[format_of(model) or TFLITE]).check(model, path)


def _by_manifest(path: Path, data: bytes, _: Path | None) -> ModelFile | None:
    # Its name stands twice in a file that has it: one flipped bit must not make a bare model of it.
    if manifests.MANIFEST_MEMBER.encode() not in data:
        return None
    read_file = _of_onnx if format_of(data) == ONNX else manifests.read
    model, manifest, anchors = read_file(path, data)
    return ModelFile.of(path, model, manifest, anchors=anchors)


def _of_onnx(path: Path, data: bytes) -> tuple[bytes, Manifest, NDArray[np.float32] | None]:
    """Return an ONNX file without metadata, and from these the manifest, and anchors in Base64.

    Raises:
        ModelError: Damaged, or without a manifest.
    """
    import base64  # noqa: PLC0415 - a `.tflite` does not need it

    model, entries = _split(path, data)
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
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: its metadata cannot be read: {error}; copy it again") from error
    manifests.check_digest(path, model, manifest)
    return model, manifest, anchors


def _by_itself(path: Path, data: bytes, _: Path | None) -> ModelFile:
    # Imported here: no file of `edge-convert` needs it.
    from edge.model.readers import inference  # noqa: PLC0415

    model, entries = _split(path, data)
    _check(path, model)
    declared = (
        inference.from_onnx(path, model, entries)
        if format_of(data) == ONNX
        else inference.from_tflite(path, data)
    )
    description, why = inference.infer(path, model, declared)
    file = ModelFile(path, model, description, read_by=declared.told.by or INFERENCE, why=why)
    log.info("%s is described by %s", path, file.origin)
    return file


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
        path: A `.tflite` or `.onnx`.
        description: A TOML of its description, which then counts instead of what the file says.

    Raises:
        ModelError: Missing, truncated, foreign or damaged.
        Undescribed: Sound, but what it means is nowhere told.
        ConfigError: The TOML cannot be read, or has faults.
    """
    return parse(path, _read_bytes(path), description=description)


def read_own(path: Path) -> ModelFile:
    """Read and verify a model that `edge-convert` made; as `read`, with no question about others.

    Raises:
        ModelError: As `read`, or it has no manifest.
    """
    data = _read_bytes(path)
    if format_of(data) in (TFLITE, ONNX) and manifests.MANIFEST_MEMBER.encode() not in data:
        raise _without_manifest(path, "none")
    return parse(path, data)


def _without_manifest(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path}: expected a model with a manifest, found {found}; make it with: edge-convert run"
    )


def parse(path: Path, data: bytes, *, description: Path | None = None) -> ModelFile:
    """Verify the bytes of a model file; as `read`, which has them from the path."""
    kind = format_of(data)
    if kind in (HEF, RPK):
        if description is None:
            raise ModelError(
                f"{path}: a file for a chip does not say what its outputs mean; write that into a "
                'TOML (docs/chips.md) and set [model] description = "NAME.toml"'
            )
    elif not kind:
        raise ModelError(
            f"{path}: expected a TensorFlow Lite or ONNX model, found {_describe(data)}; "
            "make one with: edge-convert run"
        )
    found = (reader(path, data, description) for reader in READERS.values())
    file = next(filter(None, found))
    _check(path, file.flatbuffer)
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
