"""The child process in which TensorFlow runs: it leaks, it prints and it can abort.

Run as ``python -m converter.tensorflow_child FOLDER``. The folder holds `job.json` (nodes, feed,
fetches, shape), `constants.npz` and maybe `inputs.npy`; `model.tflite` and `heads.npz` are written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

# The whole module is TensorFlow's: no other may import it.
import tensorflow as tf
from google.protobuf import json_format

# TFLiteConverter copies a graph some twenty times, with the constants in it; variables it does not.
# Measured on yolov3-tiny, 34 MiB of weights: 943 MiB at the peak, 2165 MiB with constants.
WEIGHT_BYTES = 64 * 1024


def main(argv: list[str]) -> int:
    """Lower the job in a folder to a float `.tflite`, and run the original on `inputs.npy`."""
    folder = Path(argv[0])
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "constants.npz") as constants:
        graph_def, weights = _graph_def(job, constants)
    module, function = _function(job, graph_def, weights=weights)
    inputs = folder / "inputs.npy"
    if inputs.exists():
        _run(function, np.load(inputs), out=folder / "heads.npz")
    (folder / "model.tflite").write_bytes(_lower(module, function))
    return 0


def _graph_def(job: dict[str, Any], constants: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """Return the graph, and its large constants by node, which it has placeholders for."""
    graph_def = tf.compat.v1.GraphDef()
    weights: dict[str, Any] = {}
    _placeholder(graph_def, job["feed"])
    for fields in job["nodes"]:
        if fields["op"] == "Const":
            value = constants[f"c{fields['constant']}"]
            if value.dtype == np.float32 and value.nbytes >= WEIGHT_BYTES:
                weights[fields["name"]] = value
                _placeholder(graph_def, fields["name"])
                continue
            tensor = tf.make_tensor_proto(value)
            node = graph_def.node.add(name=fields["name"], op="Const")
            node.attr["value"].tensor.CopyFrom(tensor)
            node.attr["dtype"].type = tensor.dtype
            continue
        node = graph_def.node.add(name=fields["name"], op=fields["op"])
        node.input.extend(fields["inputs"])
        for name, value in fields["attrs"].items():
            json_format.ParseDict(value, node.attr[name])
    return graph_def, weights


def _placeholder(graph_def: Any, name: str) -> None:  # noqa: ANN401
    node = graph_def.node.add(name=name, op="Placeholder")
    node.attr["dtype"].type = tf.float32.as_datatype_enum


def _function(
    job: dict[str, Any],
    graph_def: Any,  # noqa: ANN401
    *,
    weights: dict[str, Any],
) -> tuple[Any, Any]:
    module = tf.Module()
    module.weights = {f"w{number}": tf.Variable(value, trainable=False)
                      for number, value in enumerate(weights.values())}  # fmt: skip
    variables = dict(zip(weights, module.weights.values(), strict=True))
    roles = sorted(job["fetches"])

    # Static batch 1, so that the SHAPE / STRIDED_SLICE / PACK chains of the heads fold away.
    @tf.function(input_signature=[tf.TensorSpec(job["shape"], tf.float32, name="input")])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:  # noqa: ANN401
        heads = tf.graph_util.import_graph_def(
            graph_def,
            input_map={
                f"{job['feed']}:0": image,
                **{f"{name}:0": variable.read_value() for name, variable in variables.items()},
            },
            return_elements=[f"{job['fetches'][role]}:0" for role in roles],
            name="",
        )
        return dict(zip(roles, heads, strict=True))

    module.serve = serve
    return module, serve.get_concrete_function()


def _run(function: Any, inputs: Any, *, out: Path) -> None:  # noqa: ANN401
    heads = [
        {role: head.numpy() for role, head in function(image[None]).items()} for image in inputs
    ]
    columns: Any = {role: np.concatenate([head[role] for head in heads]) for role in heads[0]}
    np.savez(out, **columns)


def _lower(module: Any, function: Any) -> bytes:  # noqa: ANN401
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    return bytes(converter.convert())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
