"""A foreign float `.tflite` as a tree to cut: checked, its half-precision weights unpacked."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter import flatbuffer as fb
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_BYTES = 2**30
INPUT_AXES, CHANNELS = 4, (1, 3)
MIN_SIDE = 4
# What the generated reader of a damaged FlatBuffer raises: it checks nothing.
DAMAGED = (TypeError, ValueError, IndexError, AttributeError, KeyError, struct.error, OverflowError)
POSTPROCESS, EDGE_TPU_OP = "TFLite_Detection_PostProcess", "edgetpu-custom-op"
FLOAT32, FLOAT16 = schema.TensorType.FLOAT32, schema.TensorType.FLOAT16
QUANTIZED = {
    schema.TensorType.INT4: "int4",
    schema.TensorType.INT8: "int8",
    schema.TensorType.UINT8: "uint8",
    schema.TensorType.INT16: "int16",
}
KINDS = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}
SUBGRAPH_KINDS = ("WHILE", "IF", "CALL_ONCE", "CALL")


class TfliteFile:
    """A float model with one image input, whose tail can be cut off.

    Args:
        path: A `.tflite`.
        data: What it holds; `None` reads it.

    Raises:
        ModelError: It is missing, damaged, quantised, or has not one image as input.
    """

    def __init__(self, path: Path, data: bytes | None = None) -> None:
        self.path = path
        data = fb.read_model_bytes(path) if data is None else data
        if len(data) > MAX_BYTES:
            raise ModelError(f"{path}: expected at most {MAX_BYTES} bytes, found {len(data)}")
        try:
            self._model = fb.unpack(data)
            self._graph = self._model.subgraphs[0]
            self._modernise()
            self._unpack_float16()
            self._producers = {index: op for op in self._graph.operators for index in op.outputs}
            self._refuse_custom(self._graph.operators)
            self._check_input()
        except DAMAGED as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                f"{path}: expected a whole TensorFlow Lite model, found one that is damaged; "
                "copy the file again"
            ) from error

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the input, pixels."""
        _, height, width, _ = self.shape(self._graph.inputs[0])
        return width, height

    @property
    def outputs(self) -> list[int]:
        """Tensor numbers of the outputs."""
        return [int(index) for index in self._graph.outputs]

    @property
    def ops(self) -> list[Any]:
        """Operators, in order."""
        return list(self._graph.operators)

    def name(self, index: int) -> str:
        """Return a tensor's name."""
        return str(self._graph.tensors[index].name.decode(errors="replace"))

    def shape(self, index: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        shape = self._graph.tensors[index].shape
        return () if shape is None else tuple(int(side) for side in shape)

    def kind(self, op: Any) -> str:  # noqa: ANN401
        """Return an op's builtin name, or a custom op's own."""
        code = self._model.operatorCodes[op.opcodeIndex]
        if code.builtinCode == schema.BuiltinOperator.CUSTOM:
            return str(code.customCode.decode(errors="replace"))
        return str(KINDS[code.builtinCode])

    def producer(self, index: int) -> Any:  # noqa: ANN401
        """Return the op that makes a tensor; None for weights and inputs."""
        return self._producers.get(index)

    def constant(self, index: int) -> np.ndarray[Any, np.dtype[np.float32]] | None:
        """Return the values of a float32 constant; None if the tensor is computed."""
        tensor = self._graph.tensors[index]
        data = self._model.buffers[tensor.buffer].data
        if data is None or tensor.type != FLOAT32:
            return None
        return np.frombuffer(bytes(data), "<f4").reshape(self.shape(index))

    def cut(self, outputs: dict[str, int]) -> bytes:
        """Return the model that gives these tensors, named by their roles, and no more.

        Raises:
            ModelError: What is left holds quantised tensors or ops that LiteRT does not have.
        """
        kept = self._needed(outputs.values())
        self._refuse(kept)
        graph = self._graph
        graph.operators = kept
        graph.outputs = np.array(list(outputs.values()), np.int32)
        ends = {"input": int(graph.inputs[0]), **outputs}
        for role, index in ends.items():
            graph.tensors[index].name = role.encode()
        self._model.subgraphs = [graph]
        self._model.signatureDefs = [_signature(ends)]
        self._drop_unused_weights()
        return fb.pack(self._model)

    def _needed(self, outputs: Iterable[int]) -> list[Any]:
        wanted, waiting, seen = set(), list(outputs), set()
        while waiting:
            index = waiting.pop()
            op = self._producers.get(index)
            if index in seen or op is None:
                continue
            seen.add(index)
            wanted.add(id(op))
            waiting.extend(int(number) for number in op.inputs if number >= 0)
        return [op for op in self._graph.operators if id(op) in wanted]

    def _refuse_custom(self, ops: list[Any]) -> None:
        for op in ops:
            kind = self.kind(op)
            if kind == EDGE_TPU_OP:
                raise ModelError(
                    f"{self.path}: expected a float model, found one compiled for the Edge TPU; "
                    "give the file that it was compiled from"
                )
            if kind not in (*KINDS.values(), POSTPROCESS):
                raise ModelError(
                    f"{self.path}: op {kind!r} is a custom one, which only its own runtime has; "
                    "export the model with builtin ops"
                )

    def _refuse(self, ops: list[Any]) -> None:
        for op in ops:
            kind = self.kind(op)
            if kind in SUBGRAPH_KINDS:
                raise ModelError(f"{self.path}: op {kind} branches or loops; export it without")
            for index in (*op.inputs, *op.outputs):
                self._refuse_quantized(int(index), kind)

    def _refuse_quantized(self, index: int, kind: str) -> None:
        tensor = self._graph.tensors[index] if index >= 0 else None
        if tensor is not None and tensor.type in QUANTIZED:
            raise ModelError(
                f"{self.path}: expected a float model, found {kind} with "
                f"{QUANTIZED[tensor.type]} numbers; give the float file that it was made of"
            )

    def _check_input(self) -> None:
        inputs = [int(index) for index in self._graph.inputs]
        if len(inputs) == 1 and self._graph.tensors[inputs[0]].type in QUANTIZED:
            self._refuse_quantized(inputs[0], "an input")
        shape = self.shape(inputs[0]) if len(inputs) == 1 else ()
        dtype = self._graph.tensors[inputs[0]].type if inputs else None
        sound = len(shape) == INPUT_AXES and shape[0] == 1 and shape[3] in CHANNELS
        if not sound or min(shape[1:3]) < MIN_SIDE or dtype != FLOAT32:
            found = ", ".join(str(self.shape(index)) for index in inputs) or "none"
            raise ModelError(
                f"{self.path}: expected one input (1, height, width, 3) float32, found {found}; "
                "export the model with a fixed size and one image of 1 or 3 channels"
            )

    def _modernise(self) -> None:
        """Spell op codes as writers do since 2020: some readers know only the newer field."""
        for code in self._model.operatorCodes:
            code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        for tensor in self._graph.tensors:
            if tensor.type == FLOAT32:
                # Ranges that an old converter noted; ours are calibrated.
                tensor.quantization = None

    def _unpack_float16(self) -> None:
        """Turn constants of half precision behind DEQUANTIZE into float32 ones."""
        kept = []
        for op in self._graph.operators:
            source = self._graph.tensors[op.inputs[0]] if len(op.inputs) else None
            halves = None if source is None else self._model.buffers[source.buffer].data
            if self.kind(op) != "DEQUANTIZE" or halves is None or not _is_half(source):
                kept.append(op)
                continue
            values = np.frombuffer(bytes(halves), "<f2").astype("<f4")
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            self._graph.tensors[op.outputs[0]].buffer = len(self._model.buffers) - 1
        self._graph.operators = kept

    def _drop_unused_weights(self) -> None:
        used = {int(index) for op in self._graph.operators for index in op.inputs if index >= 0}
        buffers = {self._graph.tensors[index].buffer for index in used}
        for number, buffer in enumerate(self._model.buffers):
            if number not in buffers:
                buffer.data = None
        self._model.metadata = None
        self._model.metadataBuffer = None


def _is_half(tensor: Any) -> bool:  # noqa: ANN401
    return bool(tensor.type == FLOAT16)


def _signature(ends: dict[str, int]) -> Any:  # noqa: ANN401
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    rows = []
    for name, index in ends.items():
        row = schema.TensorMapT()
        row.name, row.tensorIndex = name.encode(), index
        rows.append(row)
    signature.inputs, signature.outputs = rows[:1], rows[1:]
    return signature
