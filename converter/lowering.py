"""From a float graph to a float `.tflite`, with TensorFlow's converter in a child process."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.child import run_child
from converter.flatbuffer import with_role_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graph import Graph


@dataclass(frozen=True, slots=True)
class Lowered:
    """What the child process made.

    Attributes:
        flatbuffer: The float `.tflite`; input `input`, outputs named by role.
        heads: Role to what the original graph gives for the inputs, `(N, ...)` float32.
    """

    flatbuffer: bytes
    heads: dict[str, NDArray[np.float32]]


def lower(
    graph: Graph,
    *,
    feed: str,
    fetches: dict[str, str],
    shape: tuple[int, ...],
    inputs: NDArray[np.float32] | None = None,
) -> Lowered:
    """Cut the graph between feed and fetches and lower it to a float `.tflite`.

    Args:
        graph: The whole graph.
        feed: Node that becomes the input.
        fetches: Output role to node.
        shape: Static, batch first.
        inputs: `(N, ...)` to run the original graph on, for comparison.

    Raises:
        ModelError: TensorFlow refuses the graph; the message names the log.
        DependencyError: TensorFlow is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as name:
        folder = Path(name)
        part = graph.between(fetches.values(), feed=feed)
        _write_job(folder, part, feed=feed, fetches=fetches, shape=shape)
        if inputs is not None:
            np.save(folder / "inputs.npy", inputs)
        run_child("converter.tensorflow_child", folder, purpose="convert this graph")
        heads: dict[str, NDArray[np.float32]] = {}
        if inputs is not None:
            with np.load(folder / "heads.npz") as stored:
                heads = dict(stored)
        flatbuffer = (folder / "model.tflite").read_bytes()
    return Lowered(with_role_names(flatbuffer), heads)


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
