"""Assemble the one file that travels: the same input gives the same bytes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ConfigError, SinkError
from edge.model import proof
from edge.model.backends.litert import compiled_for
from edge.model.delegates import CPU
from edge.model.loaded import load_model
from edge.model.model_file import ModelFile
from edge.model.readers import manifest as manifests

if TYPE_CHECKING:
    from edge.model.readers.manifest import Manifest, Provenance

IMPORT_TOOLS = ("tensorflow",)
QUANTIZE_TOOLS = ("ai-edge-litert", "numpy", "opencv-python-headless")


def sealed(file: ModelFile, manifest: Manifest) -> ModelFile:
    """Return the model file with another manifest, its digest that of the FlatBuffer."""
    digest = manifests.digest_of(file.flatbuffer)
    updated = manifest.replace(digest=digest)
    return ModelFile.of(file.path, file.flatbuffer, updated, anchors=file.description.anchors)


def one_step_on(
    provenance: Provenance, step: str, *, tools: dict[str, str], recipe: str | None = None
) -> Provenance:
    """Return where a model comes from, one step of its making further."""
    steps = (*(provenance.steps or (provenance.changes,)), step)
    return provenance.replace(
        recipe=recipe or provenance.recipe,
        tools=dict(sorted((provenance.tools | tools).items())),
        changes="; ".join(steps),
        steps=steps,
    )


def remade(
    file: ModelFile,
    flatbuffer: bytes,
    step: str,
    *,
    tools: dict[str, str],
    recipe: str | None = None,
) -> ModelFile:
    """Return the model file with a FlatBuffer that was made of its own, as the manifest says."""
    before = file.own_manifest()
    provenance = one_step_on(before.provenance, step, tools=tools, recipe=recipe)
    manifest = before.replace(provenance=provenance)
    made = ModelFile.of(file.path, flatbuffer, manifest, anchors=file.description.anchors)
    return sealed(made, manifest)


def proven(file: ModelFile) -> ModelFile:
    """Return the file with what its heads give for the fixed pattern, for the proof at start.

    One compiled for a delegate, which nothing runs here, keeps what it was compiled from gave.

    Raises:
        ModelError: The runtime refuses the model, or it gives NaN.
    """
    if compiled_for(file) != CPU:
        return file
    manifest = file.own_manifest().replace(proof=proof.take(load_model(file)))
    return ModelFile.of(file.path, file.flatbuffer, manifest, anchors=file.description.anchors)


def to_bytes(file: ModelFile) -> bytes:
    """Return the bytes of the file as `edge.model.model_file.read` reads them."""
    file = proven(file)
    return manifests.append(file.flatbuffer, file.own_manifest(), file.description.anchors)


def check_folder(output: Path, option: str = "-o") -> None:
    """Refuse an output that cannot be written before the minutes it takes to make it.

    Raises:
        ConfigError: Its folder is missing.
    """
    if not output.resolve().parent.is_dir():
        raise ConfigError(
            f"{output}: its folder is not there; make it, or choose another with {option}"
        )


def write(file: ModelFile, path: Path) -> None:
    """Write a model file whole or not at all.

    Raises:
        SinkError: The folder is missing, full or read-only.
    """
    write_bytes(to_bytes(file), path)


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file whole or not at all; raises as `write`."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as sink:
                sink.write(data)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SinkError(
            f"{path}: cannot be written: {error.strerror}; choose another place with -o"
        ) from error
