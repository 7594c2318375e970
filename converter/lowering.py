"""From a float graph to a float `.tflite`, with TensorFlow's converter in a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.flatbuffer import with_role_names
from edge.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graph import Graph

TIMEOUT_S = 900
# Errors only, and no search for a GPU: what is left goes to the log.
CHILD_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


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
        _run_child(folder)
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


def _run_child(folder: Path) -> None:
    command = [sys.executable, "-m", "converter.tensorflow_child", str(folder)]
    log = Path(tempfile.gettempdir()) / f"edge-convert-{os.getpid()}.log"
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, **CHILD_ENVIRONMENT}
    paths = [str(root), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    with log.open("wb") as sink:
        try:
            done = subprocess.run(
                command, stdout=sink, stderr=sink, env=environment, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"TensorFlow took over {TIMEOUT_S} s; its log is {log}") from error
    if done.returncode == 0:
        log.unlink()
        return
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else f"exit status {done.returncode}"
    if last.startswith("ModuleNotFoundError: No module named 'tensorflow'"):
        raise DependencyError(
            "TensorFlow is needed to convert; type: pip install 'edge-vision[converter]'"
        )
    raise ModelError(f"TensorFlow cannot convert this graph: {last}; its log is {log}")
