"""Import a float model: recognise its format, read and cut it, complete what its file says."""

from __future__ import annotations

import glob
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

from converter.graph.late_resizes import with_late_resizes
from converter.graph.own_biases import with_own_biases
from converter.importers.asking import TENSORFLOW, ask_early, ask_family, refuse_unused
from converter.importers.facts import complete, restate
from converter.importers.heads.families import FAMILIES
from converter.importers.lookalikes import HEAD_BYTES, refuse_lookalike, refuse_pointer
from converter.importers.tensorflow.keras_config import WEIGHTS
from edge.errors import ConfigError, ModelError
from edge.model import model_file
from edge.model.model_file import FLATBUFFER_IDENTIFIER
from edge.model.readers import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from converter.choice import Choice, Origin
    from converter.draft import Draft
    from edge.model.model_file import ModelFile

HDF5_MAGIC, ZIP_MAGIC = b"\x89HDF", b"PK\x03\x04"


def import_model(path: Path, *, family: str | None, origin: Origin, choice: Choice) -> ModelFile:
    """Return a float model file made of a foreign model, or of a float `.tflite` of ours.

    Args:
        path: The model, of any format in `READERS`; a `.tflite` of ours keeps its manifest,
            but for what the person says otherwise.
        family: One of `FAMILIES`, or `None` where the file tells.
        origin: For the manifest.
        choice: What the person says of the model.

    Raises:
        ConfigError: There is no such family, it is of another, or something is not said.
        ModelError: The model is missing, damaged, unsafe or of a kind that can't be converted.
        DependencyError: TensorFlow is not installed.
    """
    known = ask(path, family=family, origin=origin, choice=choice)
    if is_ours(path):
        return restate(model_file.read(path), family=family, origin=origin, choice=choice.input)
    found = import_draft(path, family=known, choice=choice)
    draft = replace(found, graph=with_late_resizes(with_own_biases(found.graph)))
    return complete(draft, path, family=known, origin=origin, choice=choice.input)


def ask(path: Path, *, family: str | None, origin: Origin, choice: Choice) -> str | None:
    """Ask for what can be known to be missing before the work; as `import_model`.

    Returns:
        The family, said by the person or told by the file; `None` for a model of ours, or where
        only its import tells.
    """
    if family not in (None, *FAMILIES):
        raise ConfigError(f"expected a family, one of {', '.join(FAMILIES)}, found {family!r}")
    form = "ours" if is_ours(path) else recognise(path)
    refuse_unused(path, form, choice)
    if form == "ours":
        return None
    known = ask_family(path, form, said=family)
    ask_early(path, form, choice, family=known, labels=origin.labels)
    return known


def import_draft(path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return what the importer of the file's format finds in it."""
    return READERS[recognise(path)](path, family, choice)


def is_tflite(path: Path) -> bool:
    """Return whether a file is a `.tflite`, whoever made it."""
    return _head(path)[4:8] == FLATBUFFER_IDENTIFIER


def is_ours(path: Path) -> bool:
    """Return whether a file is a `.tflite` with a manifest behind it, sound or damaged."""
    return is_tflite(path) and manifests.MANIFEST_MEMBER.encode() in path.read_bytes()


def recognise(path: Path) -> str:
    """Return the format of a model, a key of `READERS`, by what it holds and then by its suffix.

    Raises:
        ModelError: It is missing, or of no format that can be converted.
    """
    if path.is_dir():
        return _folder_format(path)
    head = _head(path)
    refuse_lookalike(head, path)
    if head[4:8] == FLATBUFFER_IDENTIFIER:
        return "tflite"
    if head.startswith(HDF5_MAGIC):
        return "h5"
    if head.startswith(ZIP_MAGIC):
        return _zip_format(path)
    known = SUFFIXES.get(path.suffix.lower())
    if known in MARKED:
        raise ModelError(
            f"{path}: expected {MARKED[known]}, as its name says, found {path.stat().st_size} "
            f"bytes that begin with {head[:8]!r}; copy or export it again"
        )
    if known:
        return known
    hint = HINTS.get(path.suffix.lower(), f"give one of {', '.join(SUFFIXES)}, or a SavedModel")
    raise ModelError(f"{path}: expected a float model, found a file of another format; {hint}")


def _head(path: Path) -> bytes:
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as source:
            return source.read(HEAD_BYTES)
    except FileNotFoundError as error:
        near = sorted(item.name for item in path.parent.glob(f"{glob.escape(path.stem)}*"))
        hint = f"did you mean {near[0]}?" if near else "give the path of a float model"
        raise ModelError(f"{path}: no such file; {hint}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _folder_format(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        for part in (path / "saved_model.pb", *(path / "variables").glob("*")):
            refuse_pointer(_head(part), part)
        return "saved_model"
    raise ModelError(
        f"{path}: expected a SavedModel folder, found one without saved_model.pb; "
        "give the model's own file, or the folder that holds saved_model.pb"
    )


def _zip_format(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"{path}: expected a Keras archive, found one that is damaged; copy the file again"
        ) from error
    if any(name.endswith(".pkl") for name in names):
        raise ModelError(
            f"{path}: expected a model that can be read safely, found a PyTorch pickle, which runs "
            "code when it is loaded; export it to ONNX or TensorFlow first"
        )
    if "config.json" in names:
        return "keras"
    if WEIGHTS in names:
        raise ModelError(
            f"{path}: expected a whole Keras model, found weights only, without the layers they "
            "belong to; save it with model.save, not save_weights"
        )
    raise ModelError(
        f"{path}: expected a Keras archive with config.json, found a zip with "
        f"{', '.join(names[:3]) or 'nothing in it'}; "
        "give the .keras file that model.save wrote"
    )


def _tensorflow(form: str) -> Callable[[Path, str | None, Choice], Draft]:
    def read(path: Path, family: str | None, choice: Choice) -> Draft:
        from converter.importers.tensorflow.importer import import_tensorflow  # noqa: PLC0415

        return import_tensorflow(path, form, family=family, choice=choice)

    return read


def _tflite(path: Path, family: str | None, choice: Choice) -> Draft:
    from converter.importers.tflite import import_tflite  # noqa: PLC0415

    return import_tflite(path, family=family, choice=choice)


def _darknet(path: Path, _family: str | None, choice: Choice) -> Draft:
    from converter.importers.darknet.importer import import_darknet  # noqa: PLC0415

    return import_darknet(path, weights=choice.weights)


def _onnx(path: Path, family: str | None, choice: Choice) -> Draft:
    from converter.importers.onnx.importer import import_onnx  # noqa: PLC0415

    return import_onnx(path, family=family, choice=choice)


# Format to what reads it: path, family and choice in, draft out.
READERS: dict[str, Callable[[Path, str | None, Choice], Draft]] = {
    **{form: _tensorflow(form) for form in TENSORFLOW},
    "darknet": _darknet,
    "tflite": _tflite,
    "onnx": _onnx,
}
# Formats that all begin with the same bytes.
MARKED = {"h5": "an HDF5 file", "keras": "a Keras archive", "tflite": "a TensorFlow Lite model"}
# For formats that their content does not give away.
SUFFIXES = {
    ".json": "tfjs",
    ".cfg": "darknet",
    ".pb": "frozen",
    ".h5": "h5",
    ".hdf5": "h5",
    ".keras": "keras",
    ".tflite": "tflite",
    ".onnx": "onnx",
}
HINTS = {
    ".weights": "give the .cfg, and this file with --weights",
    ".pt": "it is a PyTorch pickle, which runs code when loaded: export it to ONNX first",
    ".pth": "it is a PyTorch pickle, which runs code when loaded: export it to ONNX first",
    ".pkl": "it is a pickle, which runs code when loaded: export the model first",
}
