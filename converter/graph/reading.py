"""Read a `.tflite` into a `Graph`: validated, op codes and weights spelt as writers do today."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter.graph.values import ABSENT, Graph, Op, Quantisation, Tensor
from edge.errors import EdgeError, ModelError
from edge.model import structure
from edge.model.model_file import FLATBUFFER_IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# What the generated reader raises of tables that contradict each other: it checks nothing.
DAMAGED = (TypeError, ValueError, IndexError, AttributeError, KeyError, struct.error, OverflowError)
APPENDED = 2  # the schema: a buffer's offset of 0 and 1 is none


def _names(enum: Any) -> dict[int, str]:  # noqa: ANN401 - a class of the generated schema
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


KINDS = _names(schema.BuiltinOperator)
DTYPES = {value: name.lower() for value, name in _names(schema.TensorType).items()}
TABLES = _names(schema.BuiltinOptions), _names(schema.BuiltinOptions2)
# Options that are words in the schema.
WORDS = {
    "padding": _names(schema.Padding),
    "fusedActivationFunction": _names(schema.ActivationFunctionType),
}


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a `.tflite`, with or without a manifest behind it.

    Raises:
        ModelError: It cannot be read, or is no TensorFlow Lite model.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: expected a .tflite model, which cannot be read: {error.strerror}"
        ) from error
    if data[4:8] != FLATBUFFER_IDENTIFIER:
        raise ModelError(
            f"{path}: expected a TensorFlow Lite model, found {len(data)} bytes of something else; "
            "give a .tflite file"
        )
    return data


def read(flatbuffer: bytes, path: Path, *, is_signed: bool = False) -> Graph:
    """Return the main graph of a model.

    Constants are views of `flatbuffer`. Names become unique: of two tensors of one name the later
    gets a number behind it, but for the model's own ends. Op codes are those that writers use since
    2020.

    Args:
        flatbuffer: The model, without what may be appended to it.
        path: For messages.
        is_signed: The ends bear the names of the model's signature: those that TensorFlow gives
            their tensors (`StatefulPartitionedCall:1`) change with its version.

    Raises:
        ModelError: It is damaged, or stores weights as sparse ones.
    """
    structure.check(flatbuffer, path)
    with sound(path):
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
        main = model.subgraphs[0]
        names = _unique_names(model, main, is_signed=is_signed)
        data = [_data(buffer, flatbuffer) for buffer in model.buffers]
        pairs = list(zip(names, main.tensors, strict=True))
        sparse = [name for name, tensor in pairs if tensor.sparsity is not None]
        if sparse:
            raise ModelError(
                f"{path}: expected dense weights, found {sparse[0]!r} stored as sparse, and "
                f"{len(sparse) - 1} more; export the model without"
            )
        return Graph(
            tensors={name: _tensor(tensor, name, data[tensor.buffer]) for name, tensor in pairs},
            ops=tuple(_op(op, model.operatorCodes[op.opcodeIndex], names) for op in main.operators),
            inputs=tuple(names[index] for index in main.inputs),
            outputs=tuple(names[index] for index in main.outputs),
        )


@contextmanager
def sound(path: Path, fault: str = "one that is damaged") -> Iterator[None]:
    """Say in one sentence that a model is damaged, whatever Python says of it.

    Raises:
        ModelError: It is.
    """
    try:
        yield
    except EdgeError:
        raise
    except DAMAGED as error:
        raise ModelError(
            f"{path}: expected a whole TensorFlow Lite model, found {fault} "
            f"({type(error).__name__}: {error}); copy the file again"
        ) from error


def _unique_names(model: Any, main: Any, *, is_signed: bool) -> list[str]:  # noqa: ANN401
    signature = model.signatureDefs[0] if is_signed else None
    rows = [*signature.inputs, *signature.outputs] if signature is not None else []
    signed = {row.tensorIndex: row.name for row in rows}
    names = [
        signed.get(number, tensor.name or b"").decode(errors="replace") or f"tensor_{number}"
        for number, tensor in enumerate(main.tensors)
    ]
    ends = dict.fromkeys([*signed, *map(int, main.inputs), *map(int, main.outputs)])
    taken: set[str] = set()
    for number in (*ends, *(number for number in range(len(names)) if number not in ends)):
        while names[number] in taken:
            names[number] = f"{names[number]}_{number}"
        taken.add(names[number])
    return names


def _data(buffer: Any, flatbuffer: bytes) -> NDArray[np.uint8] | None:  # noqa: ANN401
    """Return a buffer's bytes, in the tables or, as litert-quantizer writes larger ones, behind."""
    if buffer.offset >= APPENDED:
        return np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
    return None if buffer.data is None or not len(buffer.data) else buffer.data


def _tensor(tensor: Any, name: str, data: NDArray[np.uint8] | None) -> Tensor:  # noqa: ANN401
    shape, dtype = _sizes(tensor.shape), DTYPES[tensor.type]
    signature = enumerate(_sizes(tensor.shapeSignature))
    return Tensor(
        name=name,
        shape=shape,
        dtype=dtype,
        value=None if data is None else _value(data, dtype, shape),
        quantisation=_quantisation(tensor.quantization),
        open_axes=tuple(axis for axis, size in signature if size < 0),
        is_variable=bool(tensor.isVariable),
    )


def _value(data: NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        known = np.dtype(dtype)
    except TypeError:  # int4, bfloat16, strings
        return data
    found: NDArray[Any] = np.frombuffer(data, known.newbyteorder("<"))
    return found.reshape(shape)


def _sizes(found: Any) -> tuple[int, ...]:  # noqa: ANN401 - an array or None
    return () if found is None else tuple(int(size) for size in found)


def _quantisation(found: Any) -> Quantisation | None:  # noqa: ANN401
    # Old converters noted the range of a float tensor here, without a scale.
    if found is None or found.scale is None or not len(found.scale):
        return None
    scales = np.asarray(found.scale, np.float32)
    zero_points = np.zeros(scales.shape) if found.zeroPoint is None else found.zeroPoint
    return Quantisation(scales, np.asarray(zero_points, np.int64), int(found.quantizedDimension))


def _op(op: Any, code: Any, names: list[str]) -> Op:  # noqa: ANN401
    # Writers before 2020 know only the field of one byte.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    is_custom = number == schema.BuiltinOperator.CUSTOM
    given = b"" if op.customOptions is None else bytes(op.customOptions)
    table, options = _options(op)
    return Op(
        kind=code.customCode.decode(errors="replace") if is_custom else KINDS[number],
        inputs=tuple(names[index] if index >= 0 else ABSENT for index in _sizes(op.inputs)),
        outputs=tuple(names[index] for index in _sizes(op.outputs)),
        options=options,
        version=int(code.version),
        custom=given if is_custom else None,
        table=table,
    )


def _options(op: Any) -> tuple[str, Mapping[str, Any]]:  # noqa: ANN401
    unions = (
        (op.builtinOptionsType, op.builtinOptions),
        (op.builtinOptions2Type, op.builtinOptions2),
    )
    for words, (number, found) in zip(TABLES, unions, strict=True):
        if number and found is not None:
            return words[number], {name: _plain(name, value) for name, value in vars(found).items()}
    return "", {}


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a field of the schema holds
    if name in WORDS:
        return WORDS[name][value]
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(value) if isinstance(value, list) else value
