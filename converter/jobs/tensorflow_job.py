"""The job of TensorFlow: load a model, freeze and lower it to a float `.tflite`, run the original.

Written are `model.tflite`, `inputs.npy`, what the original gives for them, `original.npz`, and
`result.json`. The original runs first: it is gone before TensorFlow copies the graph to lower it.
"""

from __future__ import annotations

import gc
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# The whole module is TensorFlow's: no other may import it.
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from converter.import_check import noise
from converter.importers.tensorflow import graph_input
from converter.importers.tensorflow.ssd_graph import find_detector
from converter.importers.tensorflow.suppression import before_suppression
from converter.jobs.child import step
from converter.jobs.originals import LOADERS, TENSORFLOW, Original, as_graph_def, session
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from converter.importers.tensorflow.graphdef import Graph
    from converter.importers.tensorflow.ssd_graph import Detector
    from converter.jobs.originals import Run

# TFLiteConverter copies a graph some twenty times, with the constants in it; variables it does not.
# Measured on yolov3-tiny, 34 MiB of weights: 943 MiB at the peak, 2165 MiB with constants.
WEIGHT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """What is lowered: a graph from its one input to what is wanted of it.

    Attributes:
        feed: Node that becomes the input, which is of floats.
        fetches: Role to tensor.
        shape: Of the input.
        takes_floats: Whether the original's own input does.
        runtime: Which runs the original.
        detector: What a graph of the Object Detection API says of itself, for a draft.
    """

    graph: Graph
    feed: str
    fetches: dict[str, str]
    shape: tuple[int, ...]
    takes_floats: bool
    runtime: str = TENSORFLOW
    detector: dict[str, Any] | None = None


def main(folder: Path, job: dict[str, Any]) -> None:
    """Lower what the job names, and run the original on noise.

    Args:
        folder: Of the job.
        job: `path`, `name`, `format`, `family`, `size_wh` and `output`.
    """
    step(f"loads {Path(job['name']).name}")
    part, run = _loaded(folder, job)
    step("runs the original")
    inputs = noise(part.shape, whole=not part.takes_floats)
    np.save(folder / "inputs.npy", inputs)
    rows = [run(image[None]) for image in inputs]
    columns: Any = {role: np.stack([row[role] for row in rows]) for role in part.fetches}
    np.savez(folder / "original.npz", **columns)
    # With the original beside it, lowering SSDLite peaked 150 MiB higher.
    del run, rows, columns
    gc.collect()
    step("lowers it")
    (folder / "model.tflite").write_bytes(_lowered(part, Path(job["name"])))
    result = {"runtime": part.runtime, "detector": part.detector}
    (folder / "result.json").write_text(json.dumps(result))


def _loaded(folder: Path, job: dict[str, Any]) -> tuple[Part, Run]:
    """Return what is lowered, and what gives the original's outputs for its own image, by role."""
    path, size_wh = Path(job["name"]), job["size_wh"] and tuple(job["size_wh"])
    original = LOADERS[job["format"]](Path(job["path"]), path, size_wh)
    detector = find_detector(original.graph)
    if detector is not None:
        return _detector(folder, original, detector, job=job)
    wanted = _chosen(original, path, job["output"])
    raw = before_suppression(original.graph, wanted, path)
    if raw != wanted:
        wanted, original = raw, replace(original, run=None, runtime=TENSORFLOW)
    fetches = {safe_name(name): tensor for name, tensor in wanted.items()}
    graph = original.graph.between(fetches.values(), feed="")
    entry = graph_input.placeholder(graph, path)
    run = original.run or session(original.graph_def, entry.name, wanted)
    part = Part(
        graph=graph_input.with_barrier(graph),
        feed=entry.name,
        fetches=fetches,
        shape=graph_input.shape(graph, entry, path=path, size_wh=size_wh),
        takes_floats=graph_input.dtype(entry) == "float32",
        runtime=original.runtime,
    )
    return part, lambda image: {safe_name(name): value for name, value in run(image).items()}


def _detector(
    folder: Path, original: Original, found: Detector, *, job: dict[str, Any]
) -> tuple[Part, Run]:
    """Return what of a detector lies before its decode, which reaches the parent as anchors."""
    if job["family"] not in (None, "ssd"):
        raise ConfigError(
            f"{job['name']}: expected a model of family {job['family']}, found an SSD of the "
            "Object Detection API; type: --family ssd"
        )
    np.save(folder / "anchors.npy", found.anchors)
    tensors = found.fetches.values()
    entry = graph_input.placeholder(original.graph.between(tensors, feed=""), Path(job["name"]))
    width, height = found.transform.size_wh
    part = Part(
        graph=original.graph.between(tensors, feed=found.feed),
        feed=found.feed,
        fetches=found.fetches,
        shape=(1, height, width, 3),
        takes_floats=graph_input.dtype(entry) == "float32",
        detector={
            "head": found.head.plain(),
            "transform": found.transform.plain(),
        },
    )
    return part, session(original.graph_def, entry.name, found.fetches)


def _chosen(original: Original, path: Path, output: str | None) -> dict[str, str]:
    """Return the outputs that are wanted, name to tensor: all, or one; of a graph any node."""
    found = original.outputs
    if output is None:
        if not found:
            raise ConfigError(
                f"{path}: expected a graph with an output, found none; export it again"
            )
        return found
    name = next((key for key in found if output in (key, safe_name(key))), None)
    if name is not None:
        return {name: found[name]}
    if original.run is None and output in original.graph.nodes:
        return {output: f"{output}:0"}
    raise ConfigError(
        f"{path}: expected an output, one of {', '.join(found)}, found --output-name {output}"
    )


def safe_name(name: str) -> str:
    """Return an output's name with what a signature takes, as a tensor's in the `.tflite`."""
    return "".join(letter if letter.isalnum() else "_" for letter in name) or "output"


def _weights_inplace(graph: Graph) -> dict[str, Any]:
    """Take the larger weights out of a graph, as variables; here too each copy counts."""
    large = [
        name
        for name, value in graph.constants.items()
        if value.dtype == np.float32 and value.nbytes >= WEIGHT_BYTES
    ]
    return {name: tf.Variable(graph.constants.pop(name), trainable=False) for name in large}


def _lowered(part: Part, path: Path) -> bytes:
    variables = _weights_inplace(part.graph)
    graph_def = as_graph_def(part.graph, fed=variables)
    entry = part.graph.nodes.get(part.feed)
    if entry is None:
        graph_def.node.add(name=part.feed, op="Placeholder").attr["dtype"].type = 1
    dtype = graph_input.dtype(entry) if entry else "float32"
    module = tf.Module()
    module.weights = list(variables.values())

    # Static batch 1, so that the SHAPE / STRIDED_SLICE / PACK chains of the heads fold away.
    @tf.function(input_signature=[tf.TensorSpec(part.shape, tf.float32, name="input")])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:  # noqa: ANN401
        values = {f"{name}:0": variable.read_value() for name, variable in variables.items()}
        heads = tf.graph_util.import_graph_def(
            graph_def,
            input_map={f"{part.feed}:0": tf.cast(image, dtype), **values},
            return_elements=list(part.fetches.values()),
            name="",
        )
        return dict(zip(part.fetches, heads, strict=True))

    module.serve = serve
    made = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    try:
        return bytes(made.convert())
    except ConverterError as error:
        missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
        if not missing:
            raise
        raise ModelError(
            f"{path}: TensorFlow Lite has no operation {', '.join(missing)}; where it stands "
            "behind what is wanted, name the output before it with --output-name, else export the "
            "model without it"
        ) from error
