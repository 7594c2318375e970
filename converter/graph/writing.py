"""Write a `Graph` as a `.tflite`; the same graph gives the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter.graph.reading import DTYPES, KINDS, TABLES, WORDS
from converter.graph.values import ABSENT
from edge.errors import ModelError
from edge.model.model_file import FLATBUFFER_IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op, Tensor

SCHEMA_VERSION = 3
ALIGNMENT = 16  # of a buffer's data, by the schema
BYTES_A_TENSOR = 512  # of the tables, with the op that makes it; of more, the builder grows
# Ops that run another graph of the file, which a `Graph` does not hold.
CALLS = ("WHILE", "IF", "CALL_ONCE", "CALL")
# Largest number that the older, one-byte field of an op code holds; the newer one counts above it.
# Source: schema.fbs, BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES.
PLACEHOLDER = 127
# Tables of options that are not named like the kind.
NAMED_OTHERWISE = {
    "AVERAGE_POOL_2D": "Pool2DOptions", "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions", "MEAN": "ReducerOptions", "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions", "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions", "MINIMUM": "MaximumMinimumOptions",
    "MAXIMUM": "MaximumMinimumOptions", "PADV2": "PadV2Options",
}  # fmt: skip
NUMBERS = {name: number for number, name in KINDS.items()}
TYPES = {name: number for number, name in DTYPES.items()}
SPELT = {name: {word: value for value, word in words.items()} for name, words in WORDS.items()}


def write(graph: Graph, *, ranges: Mapping[str, tuple[float, float]] | None = None) -> bytes:
    """Return the model; its signature names the inputs and outputs by their tensors.

    Tensors that nothing reads are left out; constants that are one array are stored once.

    Args:
        graph: Of it.
        ranges: Tensor name to the least and greatest value, noted as TFLiteConverter's calibration
            notes them.

    Raises:
        ModelError: An op branches or loops.
        ValueError: The graph contradicts itself: an op reads what none made before it.
    """
    _check(graph)
    wanted = {name for op in graph.ops for name in (*op.inputs, *op.outputs)}
    wanted.update(graph.inputs, graph.outputs)
    used = [name for name in graph.tensors if name in wanted]
    numbers = {name: number for number, name in enumerate(used)}
    codes = list(dict.fromkeys((op.kind, op.version) for op in graph.ops))
    buffers = [schema.BufferT()]  # the schema: buffer 0 is empty
    stored: dict[tuple[int, int], int] = {}
    tensors = [_tensor(graph.tensors[name], (ranges or {}).get(name)) for name in used]
    for name, made in zip(used, tensors, strict=True):
        value = graph.tensors[name].value
        if value is not None:
            made.buffer = _store(value, buffers, stored)
    ends = [_indices(names, numbers) for names in (graph.inputs, graph.outputs)]
    operators = [_operator(op, codes.index((op.kind, op.version)), numbers) for op in graph.ops]
    model = schema.ModelT(
        version=SCHEMA_VERSION,
        operatorCodes=list({(op.kind, op.version): _code(op) for op in graph.ops}.values()),
        subgraphs=[schema.SubGraphT(tensors, *ends, operators=operators, name=b"main")],
        buffers=buffers,
        signatureDefs=[_signature(graph, numbers)],
    )
    # Grown to its size at once: each doubling copies all weights.
    weights = sum(len(buffer.data) + ALIGNMENT for buffer in buffers[1:])
    builder = _Builder(weights + BYTES_A_TENSOR * len(used))
    builder.Finish(model.Pack(builder), FLATBUFFER_IDENTIFIER)
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder that keeps `force_align: 16` of the schema's weights, which Python's ignores."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803, ANN401
        if elemSize == 1 and numElems >= ALIGNMENT:
            alignment = ALIGNMENT
        return super().StartVector(elemSize, numElems, alignment)


def _check(graph: Graph) -> None:
    known = {name for name, tensor in graph.tensors.items() if tensor.value is not None}
    known.update(graph.inputs, [ABSENT])
    for op in graph.ops:
        if op.kind in CALLS:
            raise ModelError(f"op {op.kind} branches or loops; export the model without")
        missing = [name for name in op.inputs if name not in known]
        # Variables and empty constants have no value, and no op makes them.
        unmade = [name for name in missing if name in graph.producers]
        if unmade:
            raise ValueError(f"{op.kind} reads {unmade}, which no op made before it")
        known.update(op.outputs)


def _code(op: Op) -> Any:  # noqa: ANN401 - a row of the generated schema
    is_custom = op.custom is not None
    builtin = schema.BuiltinOperator.CUSTOM if is_custom else NUMBERS[op.kind]
    return schema.OperatorCodeT(
        min(builtin, PLACEHOLDER), op.kind.encode() if is_custom else None, op.version, builtin
    )


def _store(value: NDArray[Any], buffers: list[Any], stored: dict[tuple[int, int], int]) -> int:
    """Append a constant's bytes unless they are there; return the number of their buffer."""
    key = (value.__array_interface__["data"][0], value.nbytes)
    if key not in stored or not value.flags.c_contiguous:
        buffer = schema.BufferT()
        buffer.data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        stored[key] = len(buffers)
        buffers.append(buffer)
    return stored[key]


def _tensor(tensor: Tensor, extremes: tuple[float, float] | None) -> Any:  # noqa: ANN401
    found, quantisation = tensor.quantisation, None
    if extremes:
        low, high = (np.array([value], np.float32) for value in extremes)
        quantisation = schema.QuantizationParametersT(min=low, max=high)
    elif found is not None:
        quantisation = schema.QuantizationParametersT(
            scale=np.asarray(found.scales, np.float32),
            zeroPoint=np.asarray(found.zero_points, np.int64),
            quantizedDimension=found.axis,
        )
    return schema.TensorT(
        shape=np.array(tensor.shape, np.int32),
        type=TYPES[tensor.dtype],
        name=tensor.name.encode(),
        quantization=quantisation,
        isVariable=tensor.is_variable,
        shapeSignature=np.array(tensor.open_shape, np.int32) if tensor.open_axes else None,
        hasRank=bool(tensor.shape),
    )


def _operator(op: Op, code: int, numbers: Mapping[str, int]) -> Any:  # noqa: ANN401
    made = schema.OperatorT(code, *(_indices(ends, numbers) for ends in (op.inputs, op.outputs)))
    if op.custom is not None:
        made.customOptions = np.frombuffer(op.custom, np.uint8)
        return made
    table = op.table or options_table(op.kind)
    for place, words in enumerate(TABLES):
        found = [number for number, name in words.items() if name == table]
        if found and table != "NONE":
            suffix = "" if place == 0 else "2"
            setattr(made, f"builtinOptions{suffix}Type", found[0])
            setattr(made, f"builtinOptions{suffix}", _options(table, op.options))
    return made


def options_table(kind: str) -> str:
    """Return the name of the schema's table of a kind's options, whether or not there is one."""
    camel = "".join(part.capitalize() for part in kind.split("_"))
    return NAMED_OTHERWISE.get(kind, f"{camel.replace('2d', '2D')}Options")


def _options(table: str, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401
    made = getattr(schema, f"{table}T")()
    for name, value in fields.items():
        if not hasattr(made, name):
            raise ValueError(f"{table} has no option {name!r}")
        plain = list(value) if isinstance(value, tuple) else value
        setattr(made, name, SPELT[name][value] if name in SPELT else plain)
    return made


def _indices(names: Iterable[str], numbers: Mapping[str, int]) -> Any:  # noqa: ANN401
    return np.array([-1 if name == ABSENT else numbers[name] for name in names], np.int32)


def _signature(graph: Graph, numbers: Mapping[str, int]) -> Any:  # noqa: ANN401
    ends = [
        [schema.TensorMapT(name.encode(), numbers[name]) for name in names]
        for names in (graph.inputs, graph.outputs)
    ]
    return schema.SignatureDefT(*ends, signatureKey=b"serving_default", subgraphIndex=0)
