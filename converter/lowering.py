"""From a float graph of TensorFlow's to a float `.tflite`, lowered and compared in one child."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import import_check
from converter.choice import InputChoice
from converter.flatbuffer import with_role_names
from converter.jobs.child import job_folder, run_child

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graphdef import Graph
    from edge.model.description import InputTransform

JOB = "converter.jobs.tensorflow_job"


@dataclass(frozen=True, slots=True)
class Lowered:
    """What the child process made.

    Attributes:
        flatbuffer: The float `.tflite`; input `input`, outputs named by role.
        inputs: `(N, H, W, C)` float32, on the original's own input.
        heads: Role to what the original gives for these, `(N, ...)`.
        runtime: Which ran the original.
        detector: Head and transform of a detector of the Object Detection API, as JSON has them.
        anchors: Its anchors.
    """

    flatbuffer: bytes
    inputs: NDArray[np.float32]
    heads: dict[str, NDArray[np.float32]]
    runtime: str
    detector: dict[str, Any] | None = None
    anchors: NDArray[np.float32] | None = None

    @classmethod
    def read(cls, folder: Path) -> Lowered:
        """Return what the child left in a job's folder."""
        with np.load(folder / "original.npz") as stored:
            heads: dict[str, NDArray[np.float32]] = dict(stored)
        result = json.loads((folder / "result.json").read_text())
        return cls(
            flatbuffer=with_role_names((folder / "model.tflite").read_bytes()),
            inputs=np.load(folder / "inputs.npy"),
            heads=heads,
            anchors=np.load(folder / "anchors.npy") if result["detector"] else None,
            **result,
        )

    def describe(
        self, changes: str, *, normalised: InputTransform | InputChoice | None = None
    ) -> str:
        """Hold the model to its original; return that, and what was changed, for the manifest.

        Args:
            changes: What the importer cut off.
            normalised: What the model's own input wants of the original's.

        Raises:
            ModelError: It gives other numbers.
        """
        inputs = self.inputs
        if normalised is not None:
            if isinstance(normalised, InputChoice) and normalised.swapped:
                inputs = inputs[..., ::-1]
            inputs = _normalised(inputs, normalised)
        ratio = import_check.error_ratio(
            self.flatbuffer, inputs, self.heads, path=Path("the lowered model")
        )
        return f"{changes}; {import_check.in_words(ratio, self.runtime)}"


def _normalised(
    inputs: NDArray[np.float32], wanted: InputTransform | InputChoice
) -> NDArray[np.float32]:
    if wanted.mean is None or wanted.std is None:
        return inputs
    channels = inputs.shape[-1]
    made = (inputs - np.array(wanted.mean[:channels])) / np.array(wanted.std[:channels])
    return made.astype(np.float32)


def lower(
    graph: Graph,
    *,
    feed: str,
    fetches: dict[str, str],
    shape: tuple[int, ...],
    inputs: NDArray[np.float32] | None = None,
) -> Lowered:
    """Cut a graph between feed and fetches, and lower it to a float `.tflite`.

    Args:
        graph: The whole graph.
        feed: Node that becomes the input.
        fetches: Output role to node.
        shape: Static, batch first.
        inputs: `(N, ...)` to run the original on; `None` takes noise.

    Raises:
        ModelError: TensorFlow refuses the graph, and the message names the log.
        DependencyError: TensorFlow is not installed.
    """
    part = graph.between(fetches.values(), feed=feed)
    with job_folder() as folder:
        (folder / "graph.json").write_text(json.dumps([astuple(n) for n in part.nodes.values()]))
        # Numbered, as node names hold slashes, which a zip takes for folders.
        columns: Any = {f"c{at}": value for at, value in enumerate(part.constants.values())}
        np.savez(folder / "constants.npz", **columns)
        if inputs is not None:
            np.save(folder / "inputs.npy", inputs)
        job = {"feed": feed, "fetches": fetches, "shape": shape, "constants": list(part.constants)}
        run_child(JOB, folder, job=job, purpose="convert this graph")
        return Lowered.read(folder)
