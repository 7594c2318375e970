"""Read a TF.js graph model, `model.json` and its weight shards; tensorflowjs is not needed.

The ops that TF.js fuses for its own kernels are split into the TensorFlow ops they stand for.
"""

from __future__ import annotations

import base64
import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.importers.lookalikes import HEAD_BYTES, refuse_pointer
from converter.importers.tensorflow.frozen_graph import refuse_unsafe_ops
from converter.importers.tensorflow.graphdef import Graph, Node, node_name
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

# The weight types of the TF.js weights manifest that a vision graph may hold.
DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|b1", "uint8": "|u1", "uint16": "<u2"}
# Of the JSON text; the topology of the largest detector known (600 nodes) takes 0.5 MiB.
MAX_JSON_BYTES = 64 * 2**20
MAX_WEIGHT_BYTES = 2**31
# TF.js' fused op to the plain op, its data inputs, and what the plain op takes of the attributes.
FUSED = {
    "_FusedConv2D": "Conv2D",
    "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative",
    "_FusedMatMul": "MatMul",
}
PLAIN_ATTRS = {
    "Conv2D": ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings"),
    "DepthwiseConv2dNative": ("T", "strides", "padding", "data_format", "dilations"),
    "MatMul": ("T", "transpose_a", "transpose_b"),
}
ACTIVATIONS = ("Relu", "Relu6", "Elu", "Sigmoid", "Tanh")


def read(path: Path) -> Graph:
    """Return the graph of a TF.js `model.json`, its weights as constants, its fused ops split.

    Raises:
        ModelError: The file or a shard is missing, truncated, damaged or foreign; or an op reaches
            beyond the graph.
    """
    try:
        return _read(path)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a TF.js graph model, found one whose {_fault(error)}; "
            "download model.json again"
        ) from error


def _read(path: Path) -> Graph:
    fields = _parse(path)
    nodes = {node.name: node for node in map(_node, fields["modelTopology"]["node"])}
    refuse_unsafe_ops(((node.name, node.op) for node in nodes.values()), path)
    constants = _weights(path, fields["weightsManifest"])
    _check(path, nodes, constants)
    return unfuse(Graph(nodes, constants))


def _parse(path: Path) -> dict[str, Any]:
    data = _file_bytes(path, "a TF.js model.json", limit=MAX_JSON_BYTES)
    fields: Any
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: expected the JSON of a TF.js model, found {_describe(data, error)}; "
            "download it again"
        ) from error
    topology = fields.get("modelTopology") if isinstance(fields, dict) else None
    if isinstance(topology, dict) and "model_config" in topology:
        raise ModelError(
            f"{path}: expected a TF.js graph model, found a Keras layers model; "
            "convert its Keras file instead"
        )
    if not isinstance(topology, dict) or not {"node"} <= topology.keys():
        raise ModelError(
            f"{path}: expected a TF.js graph model with modelTopology.node, found other JSON; "
            "give the model.json of a TF.js graph model"
        )
    if not isinstance(fields.get("weightsManifest"), list):
        raise ModelError(
            f"{path}: expected a weightsManifest beside the modelTopology, found none; "
            "download model.json again"
        )
    checked: dict[str, Any] = fields
    return checked


def _file_bytes(path: Path, what: str, *, limit: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > limit:
            raise ModelError(f"{path}: expected {what} of at most {limit} bytes, found {size}")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: expected {what}, found no such file; download the model again"
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
        raise ModelError(f"{path}: expected {what}, which cannot be read: {reason}") from error
    refuse_pointer(data[:HEAD_BYTES], path, what)
    return data


def _node(fields: dict[str, Any]) -> Node:
    name, op, inputs = fields["name"], fields["op"], fields.get("input") or []
    attrs = fields.get("attr") or {}
    if not all(isinstance(text, str) for text in (name, op, *inputs)):
        raise TypeError("nodes are not all named by strings")
    if not isinstance(attrs, dict):
        raise TypeError(f"the attributes of {name!r} are no object")
    return Node(name, op, tuple(inputs), _bytes_as_base64(attrs))


def _bytes_as_base64(value: Any, key: str = "") -> Any:  # noqa: ANN401
    """Return an attribute tree in the protobuf JSON mapping.

    Old writers spell bytes as a list of numbers; the mapping wants base64.
    """
    if isinstance(value, dict):
        # A list of strings is spelt with the same key as a string.
        listed = key == "list"
        return {
            name: item if listed and not item else _bytes_as_base64(item, name)
            for name, item in value.items()
        }
    if not isinstance(value, list):
        return value
    if key in ("s", "stringVal") and all(isinstance(item, int) for item in value):
        return base64.b64encode(bytes(value)).decode()
    return [_bytes_as_base64(item, key) for item in value]


def _weights(path: Path, groups: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    constants: dict[str, NDArray[Any]] = {}
    for group in groups:
        shards = [_shard_path(path, name) for name in group["paths"]]
        data = b"".join(
            _file_bytes(shard, "a weight shard named by model.json", limit=MAX_WEIGHT_BYTES)
            for shard in shards
        )
        sizes = [_stored_bytes(path, row) for row in group["weights"]]
        if sum(sizes) != len(data):
            names = ", ".join(shard.name for shard in shards)
            raise ModelError(
                f"{path}: expected {sum(sizes)} bytes of weights, found {len(data)} in {names}; "
                "download the shards again"
            )
        offset = 0
        for row, size in zip(group["weights"], sizes, strict=True):
            constants[row["name"]] = _decode(path, row, data[offset : offset + size])
            offset += size
    return constants


def _shard_path(path: Path, name: str) -> Path:
    if not isinstance(name, str) or "/" in name or "\\" in name or name in ("", ".", ".."):
        raise ModelError(
            f"{path}: expected shards to be files beside model.json, found {name!r}; "
            "download model.json again"
        )
    return path.parent / name


def _stored_dtype(path: Path, row: dict[str, Any]) -> np.dtype[Any]:
    quantization = row.get("quantization") or {}
    name = quantization.get("dtype", row["dtype"])
    if name == "float16":
        return np.dtype("<f2")
    if name not in DTYPES:
        raise ModelError(
            f"{path}: weight {row['name']!r} is of type {name!r}, expected one of "
            f"{', '.join(DTYPES)}; export the model with float32 weights"
        )
    return np.dtype(DTYPES[name])


def _stored_bytes(path: Path, row: dict[str, Any]) -> int:
    shape = row["shape"]
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ModelError(
            f"{path}: weight {row['name']!r} has shape {shape}, expected sizes of at least 0; "
            "download model.json again"
        )
    return int(math.prod(shape)) * _stored_dtype(path, row).itemsize


def _decode(path: Path, row: dict[str, Any], data: bytes) -> NDArray[Any]:
    stored = np.frombuffer(data, _stored_dtype(path, row)).reshape(row["shape"])
    quantization = row.get("quantization") or {}
    if "scale" in quantization:
        stored = stored * np.float32(quantization["scale"]) + np.float32(quantization["min"])
    values: NDArray[Any] = stored.astype(np.dtype(DTYPES[row["dtype"]]).newbyteorder("="))
    # A single one is a limit: no threshold is minus infinity.
    if values.dtype == np.float32 and values.size > 1 and not np.isfinite(values).all():
        raise ModelError(
            f"{path}: weight {row['name']!r} must hold finite numbers, found infinite ones or NaN; "
            "download the shards again"
        )
    return values


def _check(path: Path, nodes: dict[str, Node], constants: dict[str, NDArray[Any]]) -> None:
    unknown = _first(constants, lambda name: name not in nodes)
    if unknown:
        raise ModelError(
            f"{path}: weight {unknown!r} belongs to no node of the graph; download it again"
        )
    bare = _first(nodes, lambda name: nodes[name].op == "Const" and name not in constants)
    if bare:
        raise ModelError(f"{path}: constant {bare!r} has no weights; download model.json again")
    for node in nodes.values():
        for reference in node.inputs:
            if node_name(reference) not in nodes:
                raise ModelError(
                    f"{path}: node {node.name!r} reads {reference!r}, which is not in the graph; "
                    "download model.json again"
                )


def _first(names: dict[str, Any], is_wrong: Callable[[str], bool]) -> str | None:
    return next((name for name in names if is_wrong(name)), None)


def _describe(data: bytes, error: Exception) -> str:
    if not data.strip():
        return "an empty file"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at byte {error.pos} of {len(data)}"
    return f"{len(data)} bytes that are no JSON text"


def _fault(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"field {error.args[0]!r} is missing"
    return f"fields have the wrong type ({error})"


def unfuse(graph: Graph) -> Graph:
    """Return the graph without TF.js' fused ops; the last op of each group keeps its name.

    Raises:
        ModelError: An op is fused with something that has no plain TensorFlow op here.
    """
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        for plain in _split(node) if node.op in FUSED else (node,):
            nodes[plain.name] = plain
    return Graph(nodes, graph.constants)


def _split(node: Node) -> list[Node]:
    op = FUSED[node.op]
    inputs = node.data_inputs()
    control = tuple(name for name in node.inputs if name.startswith("^"))
    attrs = {name: node.attrs[name] for name in PLAIN_ATTRS[op] if name in node.attrs}
    dtype = {"T": node.attrs["T"]}
    chain = [Node(f"{node.name}/{op}", op, (*inputs[:2], *control), attrs)]
    for text in node.attrs.get("fused_ops", {}).get("list", {}).get("s", []):
        fused, previous = base64.b64decode(text).decode(), chain[-1].name
        name = f"{node.name}/{fused}"
        if fused == "BiasAdd":
            chain.append(Node(name, "BiasAdd", (previous, inputs[2]), dtype))
        elif fused in ACTIVATIONS:
            chain.append(Node(name, fused, (previous,), dtype))
        else:
            raise ModelError(
                f"node {node.name!r} fuses {node.op} with {fused!r}, expected BiasAdd or one of "
                f"{', '.join(ACTIVATIONS)}; export the model without that fusion"
            )
    last = chain.pop()
    return [*chain, Node(node.name, last.op, last.inputs, last.attrs)]
