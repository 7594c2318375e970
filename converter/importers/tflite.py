"""Import a float `.tflite` that others made: cut its decode or activation off, name its outputs."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

from converter.choice import told_input
from converter.draft import check_channels
from converter.graph.foreign import read_foreign, refuse_unfit
from converter.graph.reading import sound
from converter.graph.writing import write
from converter.importers.heads.families import FAMILY_OF_HEAD
from converter.importers.heads.finder import family_of, find
from converter.importers.normalisation import without_normalisation
from converter.importers.tflite_probe import probe, shapes_of
from edge.errors import ModelError
from edge.model.readers import exporter

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.draft import Draft
    from converter.graph.values import Graph

IMAGE_AXES, MIN_SIDE = 4, 4
MAX_TEXT_BYTES = 2**20


def import_tflite(path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return the draft of a float `.tflite` without a manifest of ours.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: It is damaged or quantised, or its outputs are none of the family's.
    """
    draft = find_draft(path, family=family, choice=choice)
    probe(write(draft.graph), path)
    return draft


def told_family(path: Path) -> tuple[str | None, str]:
    """Return the family that a file's structure tells, or `None`, and why.

    Raises:
        ModelError: It is damaged, or no float model.
    """
    return family_of(read_foreign(path, shapes_of=lambda data: shapes_of(data, path)))


def find_draft(path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return what the finder makes of a `.tflite`, whole as its exporter wrote it.

    Its runtime is trusted with no more of it than its decode.

    Args:
        path: The file.
        family: What it shall become; `None` takes what its structure tells.
        choice: What the person says.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: It is damaged or quantised, or its outputs are none of the family's.
    """
    with sound(path):
        whole = read_foreign(path, shapes_of=lambda data: shapes_of(data, path))
        check_image(whole, path)
        graph, own = without_normalisation(whole)
        found = cut_heads(graph, path, family=family, choice=choice)
        told = exporter.told(path, path.read_bytes())
        return replace(
            found,
            transform=own or told_input(told, family=FAMILY_OF_HEAD[found.head.kind]),
            labels=told.labels if told else _label_file(path),
        )


def cut_heads(graph: Graph, path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return a graph up to its raw heads, with nothing in it that cannot be converted.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: Its outputs are none of the family's, or it branches, loops or is quantised.
    """
    found = find(graph, path, family=family, choice=choice)
    refuse_unfit(found.graph, path)
    return found


def check_image(graph: Graph, path: Path) -> None:
    """Refuse a graph that takes anything but one image."""
    tensors = [graph.tensors[name] for name in graph.inputs]
    shape = tensors[0].shape if len(tensors) == 1 else ()
    if len(shape) == IMAGE_AXES:
        check_channels(shape[3], path)
    sound = len(shape) == IMAGE_AXES and shape[0] == 1
    if not sound or min(shape[1:3]) < MIN_SIDE or tensors[0].dtype != "float32":
        listed = ", ".join(f"{tensor.shape} {tensor.dtype}" for tensor in tensors) or "none"
        raise ModelError(
            f"{path}: expected one input (1, height, width, 3) float32, found {listed}; "
            "export the model with a fixed size and one image of 1 or 3 channels"
        )


def _label_file(path: Path) -> tuple[str, ...] | None:
    """Return the lines of the only text file that TensorFlow's tools pack behind a model."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [info for info in archive.infolist() if info.filename.endswith(".txt")]
            if len(texts) != 1 or texts[0].file_size > MAX_TEXT_BYTES:
                return None
            return tuple(archive.read(texts[0]).decode().splitlines())
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        # Without metadata it is no zip, which is what most models are.
        return None
