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


def main(argv: list[str]) -> int:
    """Lower the job in a folder to a float `.tflite`, and run the original on `inputs.npy`."""
    folder = Path(argv[0])
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "constants.npz") as constants:
        graph_def = _graph_def(job, dict(constants))
    module, function = _function(job, graph_def)
    inputs = folder / "inputs.npy"
    if inputs.exists():
        _run(function, np.load(inputs), out=folder / "heads.npz")
    (folder / "model.tflite").write_bytes(_lower(module, function))
    return 0


def _graph_def(job: dict[str, Any], constants: dict[str, Any]) -> Any:  # noqa: ANN401
    graph_def = tf.compat.v1.GraphDef()
    feed = graph_def.node.add(name=job["feed"], op="Placeholder")
    feed.attr["dtype"].type = tf.float32.as_datatype_enum
    for fields in job["nodes"]:
        node = graph_def.node.add(name=fields["name"], op=fields["op"])
        if fields["op"] == "Const":
            tensor = tf.make_tensor_proto(constants[f"c{fields['constant']}"])
            node.attr["value"].tensor.CopyFrom(tensor)
            node.attr["dtype"].type = tensor.dtype
            continue
        node.input.extend(fields["inputs"])
        for name, value in fields["attrs"].items():
            json_format.ParseDict(value, node.attr[name])
    return graph_def


def _function(job: dict[str, Any], graph_def: Any) -> tuple[Any, Any]:  # noqa: ANN401
    module = tf.Module()
    roles = sorted(job["fetches"])

    # Static batch 1, so that the SHAPE / STRIDED_SLICE / PACK chains of the heads fold away.
    @tf.function(input_signature=[tf.TensorSpec(job["shape"], tf.float32, name="input")])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:  # noqa: ANN401
        heads = tf.graph_util.import_graph_def(
            graph_def,
            input_map={f"{job['feed']}:0": image},
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
