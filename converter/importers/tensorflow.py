"""Import a Keras file, SavedModel, frozen graph or TF.js graph: one child loads, freezes, lowers.

The whole graph is lowered, from the original's own input to its outputs, and held to what the
original gives. Then its normalisation and its decode are cut off, as of any `.tflite`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from converter.draft import Draft
from converter.graph.reading import read
from converter.graph.writing import write
from converter.graphdef_schema import parse
from converter.importers import frozen_graph
from converter.importers.graph_input import without_barrier
from converter.importers.keras_config import check_keras_archive
from converter.importers.normalisation import without_normalisation
from converter.importers.tflite import find_draft
from converter.jobs.child import job_folder, run_child
from converter.lowering import JOB, Lowered
from edge.decode.ssd import SsdHead
from edge.errors import ModelError
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice

SAVED_MODEL = "saved_model.pb"
SAVERS = ("SaveV2", "MergeV2Checkpoints")
DETECTOR_CHANGES = "cut at the raw heads; resize, decode and suppression left to the runtime"
CHANGES = "cut at the raw heads; activation, decode and suppression left to the runtime"


def import_tensorflow(path: Path, form: str, *, family: str, choice: Choice) -> Draft:
    """Return the draft of a model that TensorFlow or Keras can load.

    Args:
        path: The model.
        form: Its format, a key of `LOADERS` of the job.
        family: What it shall become.
        choice: What the person says of it.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: It is missing, damaged or unsafe, TensorFlow cannot load or lower it, or what
            comes of it gives other numbers than the original.
        DependencyError: TensorFlow is not installed.
    """
    lowered = lower_file(path, form, family=family, choice=choice)
    if lowered.detector is not None:
        transform = InputTransform.model_validate(lowered.detector["transform"])
        return Draft(
            flatbuffer=lowered.flatbuffer,
            size_wh=transform.size_wh,
            head=SsdHead.model_validate(lowered.detector["head"]),
            outputs={"boxes": "boxes", "scores": "scores"},
            anchors=lowered.anchors,
            transform=transform,
            changes=lowered.describe(DETECTOR_CHANGES, normalised=transform),
        )
    graph, own = without_normalisation(without_barrier(read(lowered.flatbuffer, path)))
    lowered = replace(lowered, flatbuffer=write(graph))
    changes = lowered.describe(CHANGES, normalised=own)
    # The child has kept the output that was chosen, under a name that a signature takes.
    found = find_draft(
        path, family=family, choice=replace(choice, output=None), data=lowered.flatbuffer
    )
    return replace(found, transform=own, changes=changes)


def lower_file(path: Path, form: str, *, family: str, choice: Choice) -> Lowered:
    """Return the whole of a model as a float `.tflite`; arguments and errors as for the import."""
    with job_folder() as folder:
        job = {
            "path": str(_checked(path, folder)),
            "name": str(path),
            "format": form,
            "family": family,
            "size_wh": choice.input.size_wh,
            "output": choice.output,
        }
        run_child(JOB, folder, job=job, purpose=f"convert {path.name}")
        return Lowered.read(folder)


def _checked(path: Path, folder: Path) -> Path:
    """Refuse what can be told without TensorFlow; return what the child shall load.

    The child itself checks an HDF5 file, whose reader may crash.
    """
    if path.is_dir():
        return _disarmed_copy(path, folder)
    if path.suffix != ".json" and frozen_graph.file_bytes(path)[:4] == b"PK\x03\x04":
        check_keras_archive(path)
    return path.resolve()


def _disarmed_copy(path: Path, folder: Path) -> Path:
    """Return a SavedModel folder beside whose weights stands the disarmed graph."""
    copy = folder / "model"
    copy.mkdir()
    (copy / SAVED_MODEL).write_bytes(disarmed_saved_model(path / SAVED_MODEL))
    for name in ("variables", "assets"):
        if (path / name).is_dir():
            (copy / name).symlink_to((path / name).resolve())
    return copy


def disarmed_saved_model(path: Path) -> bytes:
    """Return a `saved_model.pb` that can only compute: what it would save with does nothing.

    Raises:
        ModelError: It is damaged, or has another op that reaches beyond the graph.
    """
    try:
        model = parse("SavedModel", frozen_graph.file_bytes(path))
        graphs = [meta.graph_def for meta in model.meta_graphs]
        for graph in graphs:
            for nodes in (graph.node, *(each.node_def for each in graph.library.function)):
                _disarm_inplace(nodes)
            frozen_graph.refuse_unsafe(graph, path)
        for meta in model.meta_graphs:
            for node in meta.object_graph_def.nodes:
                # Of an optimizer: TensorFlow 2.11 and later cannot load an older one's.
                del node.slot_variables[:]
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a SavedModel, found bytes that are damaged; copy the folder again"
        ) from error
    if not any(graph.node for graph in graphs):
        raise ModelError(f"{path}: expected a SavedModel, found no graph in it; export it again")
    return bytes(model.SerializeToString())


def _disarm_inplace(nodes: Any) -> None:  # noqa: ANN401
    """Every SavedModel brings along the ops that wrote its checkpoint."""
    for node in nodes:
        if node.op in SAVERS:
            node.op = "NoOp"
            del node.input[:]
            node.attr.clear()
