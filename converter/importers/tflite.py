"""Import a float `.tflite` that others made: cut its decode or activation off, name its outputs."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from converter.draft import check_channels
from converter.graph.foreign import read_foreign, refuse_unfit
from converter.graph.reading import sound
from converter.graph.writing import write
from converter.importers import ultralytics
from converter.importers.heads.finder import family_of, find
from converter.importers.normalisation import without_normalisation
from converter.importers.tflite_probe import probe, shapes_of
from edge.errors import ModelError

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
        texts = _packed_texts(path)
        return replace(
            found,
            transform=own or ultralytics.transform_of(_metadata(texts), found.size_wh),
            labels=_labels(texts),
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


def _packed_texts(path: Path) -> dict[str, str]:
    """Return the small text files that exporters pack behind a model, name to text."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                info.filename: archive.read(info).decode()
                for info in archive.infolist()
                if info.filename.endswith((".txt", ".json")) and info.file_size <= MAX_TEXT_BYTES
            }
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        # Without metadata it is no zip, which is what most models are.
        return {}


def _metadata(texts: dict[str, str]) -> dict[str, Any]:
    """Return what Ultralytics' exporter packed, of whatever its file is called."""
    found = (ultralytics.literal(text) for text in texts.values() if text.startswith("{"))
    return next((value for value in found if isinstance(value, dict)), {})


def _labels(texts: dict[str, str]) -> tuple[str, ...] | None:
    """Return the labels of Ultralytics' metadata, or of the one text file of TensorFlow's."""
    metadata = _metadata(texts)
    lines = [text for name, text in texts.items() if name.endswith(".txt")]
    if metadata or len(lines) != 1:
        return ultralytics.labels_of(metadata)
    return tuple(lines[0].splitlines())
