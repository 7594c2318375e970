"""Import a Keras file, SavedModel, frozen graph or TF.js graph: one child loads, freezes, lowers.

The whole graph is lowered, from the original's own input to its outputs, and held to what the
original gives. Then its normalisation and its decode are cut off, as of any `.tflite`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import import_check
from converter.draft import Draft
from converter.graph.reading import read
from converter.importers.asking import accepted
from converter.importers.heads.finder import family_of
from converter.importers.normalisation import normalised, without_normalisation
from converter.importers.tensorflow.frozen_graph import (
    SAVED_MODEL,
    check_size,
    disarmed_saved_model,
)
from converter.importers.tensorflow.graph_input import without_barrier
from converter.importers.tensorflow.keras_config import check_keras_archive
from converter.importers.tflite import check_image, cut_heads
from converter.jobs.child import job_folder, run_child
from edge import record as records
from edge.decode.ssd import SsdHead
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.choice import Choice, InputChoice
    from converter.graph.values import Graph

    Own = InputTransform | InputChoice | None

JOB = "converter.jobs.tensorflow_job"
DETECTOR_CHANGES = "cut at the raw heads; resize, decode and suppression left to the runtime"


@dataclass(frozen=True, slots=True)
class Lowered:
    """What the child made.

    Attributes:
        graph: Whole, from `input` to outputs named as the original's; of a detector up to its
            heads.
        inputs: `(N, H, W, C)` float32, for the original's own input.
        outputs: Name to what the original gives for these, `(N, ...)`.
        runtime: Which ran the original.
        detector: Head and transform of a detector of the Object Detection API, as JSON has them.
        anchors: Its anchors.
    """

    graph: Graph
    inputs: NDArray[np.float32]
    outputs: dict[str, NDArray[Any]]
    runtime: str
    detector: dict[str, Any] | None = None
    anchors: NDArray[np.float32] | None = None

    def check(self, graph: Graph, path: Path, *, own: Own) -> str:
        """Hold a model to the original; return how near it is, for the manifest.

        Args:
            graph: What became of the whole.
            path: For messages.
            own: The normalisation that was taken out of it.

        Raises:
            ModelError: It gives other numbers.
        """
        ratio = import_check.error_ratio(
            graph, normalised(self.inputs, own), self.outputs, path=path
        )
        return import_check.in_words(ratio, self.runtime)


def import_tensorflow(path: Path, form: str, *, family: str | None, choice: Choice) -> Draft:
    """Return the draft of a model that TensorFlow or Keras can load.

    Args:
        path: The model.
        form: Its format, a key of `LOADERS` of `converter.jobs.originals`.
        family: What it shall become; `None` takes what the graph tells.
        choice: What the person says of it.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: It is missing, damaged or unsafe, TensorFlow cannot load or lower it, or what
            comes of it gives other numbers than the original.
        DependencyError: TensorFlow is not installed.
    """
    lowered = lower(path, form, family=family, choice=choice)
    if lowered.detector is not None:
        return _detector(lowered, path, lowered.detector)
    family = family or accepted(path, form, family_of(lowered.graph))
    graph, own = without_normalisation(lowered.graph)
    checked = lowered.check(graph, path, own=own)
    # The child has kept the output that was chosen, under a name that a signature takes.
    check_image(graph, path)
    found = cut_heads(graph, path, family=family, choice=replace(choice, output=None))
    return replace(found, transform=own, changes="; ".join(filter(None, [found.changes, checked])))


def lower(path: Path, form: str, *, family: str | None, choice: Choice) -> Lowered:
    """Return the whole of a model as a graph; arguments and errors as for the import."""
    with job_folder() as folder:
        job = {
            "path": str(_checked(path, form, folder)),
            "name": str(path),
            "format": form,
            "family": family,
            "size_wh": choice.input.size_wh,
            "output": choice.output,
        }
        run_child(JOB, folder, job=job, purpose=f"convert {path.name}")
        with np.load(folder / "original.npz") as stored:
            outputs = dict(stored)
        result = json.loads((folder / "result.json").read_text())
        flatbuffer = (folder / "model.tflite").read_bytes()
        return Lowered(
            graph=without_barrier(read(flatbuffer, path, is_signed=True)),
            inputs=np.load(folder / "inputs.npy"),
            outputs=outputs,
            anchors=np.load(folder / "anchors.npy") if result["detector"] else None,
            **result,
        )


def _detector(lowered: Lowered, path: Path, found: dict[str, Any]) -> Draft:
    transform = records.read(InputTransform, found["transform"])
    return Draft(
        graph=lowered.graph,
        head=records.read(SsdHead, found["head"]),
        anchors=lowered.anchors,
        transform=transform,
        changes=f"{DETECTOR_CHANGES}; {lowered.check(lowered.graph, path, own=transform)}",
    )


def _checked(path: Path, form: str, folder: Path) -> Path:
    """Refuse what can be told without TensorFlow; return what the child shall load.

    The child itself checks an HDF5 file, whose reader may crash.
    """
    if form == "saved_model":
        return _disarmed_copy(path, folder)
    if form != "tfjs":  # whose JSON and shards have limits of their own
        check_size(path)
    if form == "keras":
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
