"""From a float graph to a float `.tflite`, with TensorFlow's converter in a child process."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import import_check
from converter.child import run_child
from converter.graph.reading import read
from converter.graph.writing import write

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graphdef import Graph


@dataclass(frozen=True, slots=True)
class Lowered:
    """What the child process made.

    Attributes:
        flatbuffer: The float `.tflite`; input `input`, outputs named by role.
        heads: Role to what the original graph gives for the inputs, `(N, ...)` float32.
        error_ratio: Largest error of the `.tflite` beside it, as a share of a head's range.
    """

    flatbuffer: bytes
    heads: dict[str, NDArray[np.float32]]
    error_ratio: float

    def describe(self, changes: str) -> str:
        """Return what the importer changed, and that it was checked, for the manifest."""
        return f"{changes}; {import_check.in_words(self.error_ratio, 'TensorFlow')}"


def lower(
    graph: Graph,
    *,
    feed: str,
    fetches: dict[str, str],
    shape: tuple[int, ...],
    inputs: NDArray[np.float32] | None = None,
) -> Lowered:
    """Cut the graph between feed and fetches, lower it to a float `.tflite`, and compare the two.

    Args:
        graph: The whole graph.
        feed: Node that becomes the input.
        fetches: Output role to node.
        shape: Static, batch first.
        inputs: `(N, ...)` to compare them on; `None` takes noise.

    Raises:
        ModelError: TensorFlow refuses the graph, and the message names the log; or what it makes
            gives other numbers.
        DependencyError: TensorFlow is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as name:
        folder = Path(name)
        part = graph.between(fetches.values(), feed=feed)
        _write_job(folder, part, feed=feed, fetches=fetches, shape=shape)
        compared = import_check.noise(shape) if inputs is None else inputs
        np.save(folder / "inputs.npy", compared)
        run_child("converter.tensorflow_child", folder, purpose="convert this graph")
        with np.load(folder / "heads.npz") as stored:
            heads: dict[str, NDArray[np.float32]] = dict(stored)
        made = folder / "model.tflite"
        flatbuffer = write(read(made.read_bytes(), made, is_signed=True))
    ratio = import_check.error_ratio(flatbuffer, compared, heads, path=Path("the lowered model"))
    return Lowered(flatbuffer, heads, ratio)


def _write_job(
    folder: Path, part: Graph, *, feed: str, fetches: dict[str, str], shape: tuple[int, ...]
) -> None:
    numbers = {name: number for number, name in enumerate(part.constants)}
    nodes = [
        {
            "name": node.name,
            "op": node.op,
            "inputs": node.data_inputs(),
            "attrs": node.attrs if node.op != "Const" else {},
            "constant": numbers.get(node.name),
        }
        for node in part.nodes.values()
    ]
    job = {"nodes": nodes, "feed": feed, "fetches": fetches, "shape": shape}
    (folder / "job.json").write_text(json.dumps(job))
    # Numbered, as node names hold slashes, which a zip takes for folders.
    constants: Any = {f"c{number}": part.constants[name] for name, number in numbers.items()}
    np.savez(folder / "constants.npz", **constants)
