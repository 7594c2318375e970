"""Read a frozen graph, a GraphDef whose variables are constants, and check a SavedModel's.

TensorFlow is not needed; before it loads a SavedModel, that can only compute.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf import json_format

from converter.importers.tensorflow.graphdef import Graph, Node
from converter.importers.tensorflow.graphdef_schema import parse
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES = 2**30
# Elements of one constant that stores fewer values than it has: the last is repeated.
MAX_REPEATED = 2**24
# Source: `types.proto` of TensorFlow: number to NumPy's name, and the field of unpacked values.
DTYPES = {
    1: ("float32", "float_val"),
    2: ("float64", "double_val"),
    3: ("int32", "int_val"),
    4: ("uint8", "int_val"),
    6: ("int8", "int_val"),
    9: ("int64", "int64_val"),
    10: ("bool", "bool_val"),
    19: ("float16", "half_val"),
}
TEXT = 7  # DT_STRING: of assertions' messages
VARIABLES = ("VariableV2", "Variable", "VarHandleOp", "ReadVariableOp")
# What reaches beyond the graph: files, the network, Python, other processes.
UNSAFE = (
    "PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles", "Save",
    "SaveV2", "SaveSlices", "MergeV2Checkpoints", "PrintV2", "WriteSummary", "LookupTableExportV2",
    "InitializeTableFromTextFileV2", "FixedLengthRecordReaderV2", "TextLineReaderV2",
    "TFRecordReaderV2", "WholeFileReaderV2", "IdentityReaderV2", "RpcCall", "RemoteCall", "Send",
    "Recv",
)  # fmt: skip
SAVED_MODEL = "saved_model.pb"
SAVERS = ("SaveV2", "MergeV2Checkpoints")


def read_bytes(data: bytes, path: Path) -> Graph:
    """Return the graph in the bytes of a GraphDef, its constants as arrays; `path` is for messages.

    Raises:
        ModelError: They are damaged, unsafe, or not frozen.
    """
    try:
        message = parse("Graph", data)
        nodes = {fields.name: _node(fields) for fields in message.node}
        refuse_unsafe(message, path)
        constants = {
            fields.name: _constant(fields.name, fields.attr["value"].tensor)
            for fields in message.node
            if fields.op == "Const" and fields.attr["value"].tensor.dtype != TEXT
        }
    except (ValueError, TypeError, MemoryError, OverflowError, UnicodeDecodeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a frozen TensorFlow graph, found {_reason(error)}; "
            "copy the file again"
        ) from error
    _check(path, nodes)
    return Graph(nodes, constants)


def disarmed_saved_model(path: Path) -> bytes:
    """Return a `saved_model.pb` that can only compute: what it would save with does nothing.

    Raises:
        ModelError: It is damaged, or has another op that reaches beyond the graph.
    """
    try:
        model = parse("SavedModel", file_bytes(path))
        graphs = [meta.graph_def for meta in model.meta_graphs]
        for graph in graphs:
            for nodes in (graph.node, *(each.node_def for each in graph.library.function)):
                _disarm_inplace(nodes)
            refuse_unsafe(graph, path)
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


def check_size(path: Path) -> None:
    """Refuse a file of a size that no model has.

    Raises:
        ModelError: It is missing, unreadable or too large.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error
    if size > MAX_BYTES:
        raise ModelError(
            f"{path}: expected at most {MAX_BYTES} bytes, found {size}; give a smaller model"
        )


def file_bytes(path: Path) -> bytes:
    """Return the bytes of a protobuf file; raises as `check_size`."""
    check_size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error


def refuse_unsafe(graph: Any, path: Path) -> None:  # noqa: ANN401
    """Refuse a GraphDef with an op that reaches beyond the graph, in its functions too.

    Raises:
        ModelError: There is one; the message names it.
    """
    functions = [function.node_def for function in graph.library.function]
    for nodes in (graph.node, *functions):
        refuse_unsafe_ops(((node.name, node.op) for node in nodes), path)


def refuse_unsafe_ops(rows: Iterable[tuple[str, str]], path: Path) -> None:
    """Refuse (name, op) rows of which one reaches beyond the graph.

    Raises:
        ModelError: There is one; the message names it.
    """
    for name, op in rows:
        if op in UNSAFE:
            raise ModelError(
                f"{path}: op {op} ({name}) reaches beyond the graph, to files, the network or "
                "Python code; export the model without it"
            )


def _node(fields: Any) -> Node:  # noqa: ANN401
    # Text that is no UTF-8 comes as bytes.
    if not all(isinstance(text, str) for text in (fields.name, fields.op, *fields.input)):
        raise ValueError("a node whose name is no text")
    attrs = {} if fields.op == "Const" else _attrs(fields.attr)
    return Node(fields.name, fields.op, tuple(fields.input), attrs)


def _attrs(attrs: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return attributes in the protobuf JSON mapping; those that begin with _ are hints only."""
    found = {
        name: json_format.MessageToDict(attrs[name], preserving_proto_field_name=True)
        for name in sorted(attrs)
        if not name.startswith("_")
    }
    for fields in found.values():
        fields.pop("tensor", None)  # constants have them, which are kept apart
    return found


def _constant(name: str, tensor: Any) -> NDArray[Any]:  # noqa: ANN401
    if tensor.dtype not in DTYPES:
        raise ValueError(f"constant {name!r} of unknown type {tensor.dtype}")
    dtype, field = DTYPES[tensor.dtype]
    shape = tuple(int(dim.size) for dim in tensor.tensor_shape.dim)
    if any(side < 0 for side in shape):
        raise ValueError(f"constant {name!r} of shape {shape}")
    count = math.prod(shape)
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, np.dtype(dtype).newbyteorder("<"))
    elif dtype == "float16":
        values = np.array(tensor.half_val, np.uint16).view(np.float16)
    else:
        values = np.array(getattr(tensor, field), dtype)
    return _filled(name, values, count).reshape(shape).astype(dtype)


def _filled(name: str, values: NDArray[Any], count: int) -> NDArray[Any]:
    """Return `count` values: the stored ones, the last repeated as `tensor.proto` says."""
    if values.size == count:
        checked = values
    elif 0 < values.size < count <= MAX_REPEATED:
        checked = np.concatenate([values, np.full(count - values.size, values[-1])])
    elif values.size == 0 and count <= MAX_REPEATED:
        checked = np.zeros(count, values.dtype)
    else:
        raise ValueError(f"constant {name!r} with {values.size} of {count} values")
    # A single one is a limit: no threshold is minus infinity.
    if checked.dtype == np.float32 and count > 1 and not np.isfinite(checked).all():
        raise ValueError(f"constant {name!r} with numbers that are not finite")
    return checked


def _check(path: Path, nodes: dict[str, Node]) -> None:
    if not nodes:
        raise ModelError(
            f"{path}: expected a frozen TensorFlow graph, found no node; give the frozen .pb itself"
        )
    for node in nodes.values():
        if node.op in VARIABLES:
            raise ModelError(
                f"{path}: expected a frozen graph, found the variable {node.name!r}, whose value "
                "lies in a checkpoint; freeze the graph, or give the SavedModel folder"
            )


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "bytes that are damaged"
